"""Tests of konnect_kubernetes.access: the API server over TLS, from a kubeconfig and from a pod."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from kubernetes.config import incluster_config

from konnect.app.authority import Authority, Lifetime
from konnect.extension.api import ApiAccess
from konnect.extension.leases import LeaseSettings
from konnect.tunnel.ledger import Ledger
from konnect.wire.token_review import ReviewFailed
from konnect_kubernetes.counting import make_count
from konnect_kubernetes.reviewer import make_reviewer
from tests.tls_case import TlsCase


class TrustCase(TlsCase):
    """An API server that gets a certificate of another authority."""

    async def replaced(self, file: Path, access: ApiAccess) -> None:
        """The authority in this file is replaced as the API server's is."""
        reviewer = make_reviewer(self.reactor, access, 1)
        self.addCleanup(reviewer.stop)
        self.assertTrue((await reviewer.review("t", ["a"])).authenticated)
        other = Authority.create("other", self.life)
        await self.move(other)
        error = await reviewer.review("t", ["a"]).addErrback(lambda failure: failure.value)
        self.assertIn("certificate verify failed", str(error))
        new = file.with_suffix(".new")
        new.write_bytes(other.pair.certificate)
        new.rename(file)
        self.assertTrue((await reviewer.review("t", ["a"])).authenticated)


class KubeconfigTests(TrustCase):
    """A kubeconfig that says whom to trust."""

    async def test_trusted(self) -> None:
        """An API server with a certificate of the kubeconfig's authority is asked."""
        reviewer = make_reviewer(self.reactor, self.access_trusting(self.authority), 1)
        self.addCleanup(reviewer.stop)
        self.assertTrue((await reviewer.review("t", ["a"])).authenticated)

    async def test_authority_replaced(self) -> None:
        """A `certificate-authority` that is replaced on disk holds for the next connection."""
        file = Path(self.write_authority())
        text = Path(self.kubeconfig_of("token: proxy-token")).read_text(encoding="ascii")
        text = re.sub("certificate-authority-data: [^}]*", f'certificate-authority: "{file}"', text)
        kubeconfig = self.write(text.encode("ascii"))
        await self.replaced(file, self.access_to(kubeconfig))

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


class PodTests(TrustCase):
    """What a pod finds inside its cluster."""

    def setUp(self) -> None:
        super().setUp()
        self.token = Path(self.mktemp())
        self.token.write_text("pod-token", encoding="ascii")
        self.patch(incluster_config, "SERVICE_TOKEN_FILENAME", str(self.token))
        self.authority_file = self.write_authority()
        self.patch(incluster_config, "SERVICE_CERT_FILENAME", self.authority_file)
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

    async def test_token_replaced(self) -> None:
        """A token that is replaced is shown with the next request; one that is away for a moment,
        as while a volume is changed, is shown as it was."""
        reviewer = make_reviewer(self.reactor, self.pod, 1)
        self.addCleanup(reviewer.stop)
        for token in "pod-token", "second":
            self.token.write_text(f"{token}\n", encoding="ascii")
            await reviewer.review("t", ["a"])
            self.assertEqual(self.api.headers[-1]["authorization"], f"Bearer {token}")
        self.token.unlink()
        await reviewer.review("t", ["a"])
        self.assertEqual(self.api.headers[-1]["authorization"], "Bearer second")

    async def test_authority_replaced(self) -> None:
        """So does an authority for the next connection."""
        await self.replaced(Path(self.authority_file), self.pod)

    def test_no_token(self) -> None:
        """A pod without a token is told so."""
        self.token.unlink()
        with self.assertRaises(ValueError) as caught:
            make_reviewer(self.reactor, self.pod, 1)
        self.assertIn("Service token file does not exist", str(caught.exception))
