"""Tests of konnect_kubernetes.access: the API server over TLS, from a kubeconfig and from a pod."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

from kubernetes.config import incluster_config
from twisted.internet.ssl import PrivateCertificate

from konnect.app.authority import Authority, Lifetime, Pair, subject_name
from konnect.extension.api import ApiAccess
from konnect.extension.leases import LeaseSettings
from konnect.tunnel.ledger import Ledger
from konnect.wire.token_review import ReviewFailed
from konnect_kubernetes.counting import make_count
from konnect_kubernetes.reviewer import make_reviewer
from tests.api_server import Object
from tests.case import KUBECONFIG, ApiCase

GOOD: Object = {"authenticated": True, "audiences": ["a"], "user": {"username": "u"}}


class TlsCase(ApiCase):
    """An API server behind TLS."""

    def setUp(self) -> None:
        super().setUp()
        life = Lifetime.of_days(1)
        self.authority = Authority.create("api", life)
        pair: Pair = self.authority.issue_server("api", life, [subject_name("127.0.0.1")])
        certificate = PrivateCertificate.loadPEM(pair.certificate + pair.key)
        port = self.reactor.listenSSL(
            0, self.api.site, certificate.options(), interface="127.0.0.1"
        )
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port
        self.api.review = GOOD

    def write_authority(self, authority: Authority | None = None) -> str:
        """A file with the certificate of an authority."""
        path = Path(self.mktemp())
        path.write_bytes((authority or self.authority).pair.certificate)
        return str(path)


class KubeconfigTests(TlsCase):
    """A kubeconfig that says whom to trust."""

    def access_trusting(self, authority: Authority) -> ApiAccess:
        """A kubeconfig that trusts this authority."""
        data = base64.b64encode(authority.pair.certificate).decode()
        server = f'https://127.0.0.1:{self.port}", certificate-authority-data: "{data}'
        path = Path(self.mktemp())
        path.write_text(KUBECONFIG.format(server=server), encoding="ascii")
        return ApiAccess(kubeconfig=str(path), qps=-1.0)

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
