"""The test case of an API server behind TLS."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.ssl import Certificate, PrivateCertificate
from twisted.internet.task import deferLater

from konnect.app.authority import Authority, Lifetime, Pair, subject_name
from konnect.extension.api import ApiAccess
from tests.api_server import Object
from tests.case import KUBECONFIG, ApiCase

GOOD: Object = {"authenticated": True, "audiences": ["a"], "user": {"username": "u"}}


class TlsCase(ApiCase):
    """An API server behind TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.ports: list[Any] = []
        self.life = Lifetime.of_days(1)
        self.authority = Authority.create("api", self.life)
        self.port = self.listen()
        self.api.review = GOOD

    def listen(self, *clients: Authority, at: int = 0) -> int:
        """One more port of the API server, which demands certificates of these authorities."""
        pair: Pair = self.authority.issue_server("api", self.life, [subject_name("127.0.0.1")])
        certificate = PrivateCertificate.loadPEM(pair.certificate + pair.key)
        trusted = [Certificate.loadPEM(client.pair.certificate) for client in clients]
        port = self.reactor.listenSSL(
            at, self.api.site, certificate.options(*trusted), interface="127.0.0.1"
        )
        self.addCleanup(port.stopListening)
        self.ports.append(port)
        return int(port.getHost().port)

    async def move(self, authority: Authority) -> None:
        """The API server has a certificate of another authority from now on."""
        await maybeDeferred(self.ports[0].stopListening)
        await self.no_connections()
        await deferLater(self.reactor, 0.01)  # the sockets are closed in the next turn
        self.authority = authority
        self.listen(at=self.port)

    def write(self, content: bytes) -> str:
        """A file of the test's; returns its path."""
        path = Path(self.mktemp()).absolute()
        path.write_bytes(content)
        return str(path)

    def write_authority(self, authority: Authority | None = None) -> str:
        """A file with the certificate of an authority."""
        return self.write((authority or self.authority).pair.certificate)

    def kubeconfig_of(
        self, user: str, authority: Authority | None = None, port: int | None = None
    ) -> str:
        """A kubeconfig with this as its user, that trusts the authority of the API server or
        another."""
        data = _base64((authority or self.authority).pair.certificate)
        server = f'https://127.0.0.1:{port or self.port}", certificate-authority-data: "{data}'
        text = KUBECONFIG.format(server=server).replace("token: proxy-token", user)
        return self.write(text.encode("ascii"))

    def access_as(self, user: str, port: int | None = None) -> ApiAccess:
        """The API server for this user of a kubeconfig."""
        return self.access_to(self.kubeconfig_of(user, port=port))

    def access_trusting(self, authority: Authority) -> ApiAccess:
        """A kubeconfig that trusts this authority."""
        return self.access_to(self.kubeconfig_of("token: proxy-token", authority))


def certificate_user(pair: Pair) -> str:
    """A kubeconfig's user with a client certificate in it."""
    certificate, key = _base64(pair.certificate), _base64(pair.key)
    return f'client-certificate-data: "{certificate}", client-key-data: "{key}"'


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
