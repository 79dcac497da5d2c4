"""Tests of konnect_kubernetes.access: the API server over TLS, from a kubeconfig and from a pod."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kubernetes.config import incluster_config

from konnect.app.authority import Authority, Lifetime
from konnect.extension.leases import LeaseSettings
from konnect.tunnel.ledger import Ledger
from konnect.wire.token_review import ReviewFailed
from konnect_kubernetes.counting import make_count
from konnect_kubernetes.reviewer import make_reviewer
from tests.tls_case import TlsCase


class KubeconfigTests(TlsCase):
    """A kubeconfig that says whom to trust."""

    async def test_trusted(self) -> None:
        """An API server with a certificate of the kubeconfig's authority is asked."""
        reviewer = make_reviewer(self.reactor, self.access_trusting(self.authority), 1)
        self.addCleanup(reviewer.stop)
        self.assertTrue((await reviewer.review("t", ["a"])).authenticated)

    async def test_not_trusted(self) -> None:
        """Any other is not, and no token reaches it."""
        other = Authority.create("other", Lifetime.of_days(1))
        reviewer = make_reviewer(self.reactor, self.access_trusting(other), 1)
        self.addCleanup(reviewer.stop)
        error = await reviewer.review("t", ["a"]).addErrback(lambda failure: failure.value)
        self.assertIsInstance(error, ReviewFailed)
        self.assertIn("certificate verify failed", str(error))
        self.assertEqual(self.api.requests, [])

    def test_auth_provider(self) -> None:
        """What Kubernetes' clients have given up is refused, and nothing of it run."""
        ran = Path(self.mktemp()).absolute()
        command = f"{{cmd-path: touch, cmd-args: {ran}}}"
        for provider, text in (
            (
                f"{{name: gcp, config: {command}}}",
                "gcp, which is not supported: use exec with gke-",
            ),
            ("{name: azure, config: {}}", "azure, which is not supported: use exec with kubelogin"),
            ("{name: oidc, config: {}}", "oidc, which is not supported: use exec, or a token"),
            ("7", "None, which is not supported"),
        ):
            access = self.access_as(f"auth-provider: {provider}")
            with self.assertRaises(ValueError) as caught:
                make_reviewer(self.reactor, access, 1)
            said = str(caught.exception)
            self.assertIn(f"kubeconfig {access.kubeconfig}: its user has the auth-provider", said)
            self.assertIn(text, said)
        self.assertFalse(ran.exists())

    async def test_watch(self) -> None:
        """A watch over TLS is heard, and a stop wakes it."""
        settings = LeaseSettings(
            namespace="n", labels="", access=self.access_trusting(self.authority)
        )
        count = make_count(self.reactor, settings, Ledger(lambda: 0.0, agent=True))
        self.addCleanup(count.stop)
        count._wall = lambda: 0.0
        count.start(lambda: None)
        await self.api.until(lambda: bool(self.api.watches))
        for name in "ab":
            self.api.put(name, {"renewTime": "2026-01-01T00:00:00Z", "leaseDurationSeconds": 30})
        await self.until(lambda: count.count == 2)
        await count.stop()
        self.assertEqual(count._calls._busy, 0)


class PodTests(TlsCase):
    """What a pod finds inside its cluster."""

    def setUp(self) -> None:
        super().setUp()
        self.token = Path(self.mktemp())
        self.token.write_text("pod-token", encoding="ascii")
        self.patch(incluster_config, "SERVICE_TOKEN_FILENAME", str(self.token))
        self.patch(incluster_config, "SERVICE_CERT_FILENAME", self.write_authority())
        environ = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.port),
        }
        for name, value in environ.items():
            self.set_environ(name, value)
        self.pod = replace(self.access, kubeconfig="")

    async def test_asked(self) -> None:
        """The pod's token, its authority and the cluster's address are used."""
        reviewer = make_reviewer(self.reactor, self.pod, 1)
        self.addCleanup(reviewer.stop)
        self.assertTrue((await reviewer.review("t", ["a"])).authenticated)
        self.assertEqual(self.api.headers[0]["authorization"].lower(), "bearer pod-token")

    def test_no_token(self) -> None:
        """A pod without a token is told so."""
        self.token.unlink()
        with self.assertRaises(ValueError) as caught:
            make_reviewer(self.reactor, self.pod, 1)
        self.assertIn("Service token file does not exist", str(caught.exception))
