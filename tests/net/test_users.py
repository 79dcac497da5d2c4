"""Tests of konnect.net.users."""

from __future__ import annotations

from types import SimpleNamespace

from cryptography import x509
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

    def test_unreadable(self) -> None:
        """A certificate that OpenSSL reads, and that does not parse otherwise, names nobody."""
        with open(pki().frontend_client_cert, "rb") as file:
            good = crypto.load_certificate(crypto.FILETYPE_PEM, file.read())
        der = crypto.dump_certificate(crypto.FILETYPE_ASN1, good)
        version, odd = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x04"
        self.assertEqual(der.count(version), 1)
        certificate = crypto.load_certificate(crypto.FILETYPE_ASN1, der.replace(version, odd))
        self.assertRaises(x509.InvalidVersion, certificate.to_cryptography)
        transport = SimpleNamespace(getPeerCertificate=lambda: certificate)
        self.assertEqual(user_of(transport), "")
