"""Tests of konnect_kubernetes.access: what a kubeconfig's user is known by at the API server."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import deferLater

from konnect.app.authority import Authority, Pair
from tests.credentials_case import CredentialsCase
from tests.tls_case import certificate_user


class CertificateTests(CredentialsCase):
    """A kubeconfig's client certificate."""

    async def test_within(self) -> None:
        """One that is in the kubeconfig is shown."""
        await self.ask(self.reviewer(certificate_user(self.pair("proxy")), self.guarded))
        self.assertEqual(self.api.users, ["proxy"])

    async def test_files(self) -> None:
        """One in files is shown, and read anew for each connection, as a kubelet replaces them."""
        files = [self.write(part) for part in self.written(self.pair("first"))]
        user = f"client-certificate: {files[0]}, client-key: {files[1]}"
        reviewer = self.reviewer(user, self.guarded)
        await self.ask(reviewer)
        for file, part in zip(files, self.written(self.pair("second")), strict=True):
            Path(file).write_bytes(part)
        await self.no_connections()
        await deferLater(self.reactor, 0.01)  # the sockets are closed in the next turn
        await self.ask(reviewer)
        self.assertEqual(self.api.users, ["first", "second"])

    async def test_refused(self) -> None:
        """One that the API server does not know, or none, is refused; the text says so."""
        other = self.pair("stranger", Authority.create("other", self.life))
        for user in (certificate_user(other), "token: proxy-token"):
            why = await self.refused(self.reviewer(user, self.guarded))
            self.assertIn("no answer from the API server", why)
        self.assertEqual(self.api.requests, [])

    @staticmethod
    def written(pair: Pair) -> tuple[bytes, bytes]:
        return pair.certificate, pair.key
