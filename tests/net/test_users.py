"""Tests of konnect.net.users."""

from __future__ import annotations

from OpenSSL import crypto
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.users import user_of
from tests.certificates import pki


class Transport:
    """A transport whose peer has shown a certificate, or none."""

    def __init__(self, path: str | None) -> None:
        self._path = path

    def getPeerCertificate(self) -> crypto.X509 | None:
        if self._path is None:
            return None
        with open(self._path, "rb") as file:
            return crypto.load_certificate(crypto.FILETYPE_PEM, file.read())


class UserTests(SynchronousTestCase):
    """Names of peers."""

    def test_certificate(self) -> None:
        """The common name of the certificate."""
        self.assertEqual(user_of(Transport(pki().frontend_client_cert)), "proxy-client")

    def test_none(self) -> None:
        """No certificate, or a transport that knows no TLS: nobody."""
        self.assertEqual(user_of(Transport(None)), "")
        self.assertEqual(user_of(object()), "")
        self.assertEqual(user_of(None), "")
