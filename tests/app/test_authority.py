"""Tests of konnect.app.authority."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from konnect.app.authority import SKEW, Authority, BadSubjectName, Lifetime, Pair, subject_name

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
LIFE = Lifetime.of_days(30, NOW)


def certificate(pair: Pair) -> x509.Certificate:
    """The pair's certificate, parsed."""
    return x509.load_pem_x509_certificate(pair.certificate)


class SubjectNameTests(SynchronousTestCase):
    """subject_name."""

    def test_names_and_addresses(self) -> None:
        """Names and addresses are told apart, with and without the kind before them."""
        for text, kind, value in (
            ("proxy.example.org", x509.DNSName, "proxy.example.org"),
            ("DNS:localhost", x509.DNSName, "localhost"),
            ("dns:*.example.org", x509.DNSName, "*.example.org"),
            ("1password.example", x509.DNSName, "1password.example"),
            ("192.0.2.1", x509.IPAddress, "192.0.2.1"),
            ("IP:192.0.2.1", x509.IPAddress, "192.0.2.1"),
            ("2001:db8::1", x509.IPAddress, "2001:db8::1"),
            ("IP:::1", x509.IPAddress, "::1"),
            ("::1", x509.IPAddress, "::1"),
        ):
            name = subject_name(text)
            self.assertIsInstance(name, kind)
            self.assertEqual(str(name.value), value)

    def test_neither(self) -> None:
        """What is neither is refused by name."""
        for text in (
            "",
            "DNS:",
            "IP:localhost",
            "DNS:192.0.2.1",
            "https://proxy",
            "proxy:8090",
            "a b",
            "a..b",
            "-a",
            "a-",
            "a.*",
            "bücher.example",
            "x" * 64,
            ".".join(["x" * 60] * 5),
            "300.0.0.1",
        ):
            error = self.assertRaises(BadSubjectName, subject_name, text)
            self.assertIn(repr(text), str(error))


class AuthorityTests(SynchronousTestCase):
    """Authority, and what it issues."""

    def test_lifetime(self) -> None:
        """A life begins an hour early and lasts for the days from now."""
        self.assertEqual(LIFE.begin, NOW - SKEW)
        self.assertEqual(LIFE.end, NOW + datetime.timedelta(days=30))
        made = certificate(Authority.create("a", LIFE).pair)
        self.assertEqual(
            (made.not_valid_before_utc, made.not_valid_after_utc), (LIFE.begin, LIFE.end)
        )

    def test_authority_extensions(self) -> None:
        """The authority signs certificates and revocation lists, only leaves, and says its key."""
        made = certificate(Authority.create("konnect-ca", LIFE).pair)
        basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
        self.assertTrue(basic.critical and basic.value.ca)
        self.assertEqual(basic.value.path_length, 0)
        usage = made.extensions.get_extension_for_class(x509.KeyUsage)
        self.assertTrue(usage.critical and usage.value.key_cert_sign and usage.value.crl_sign)
        self.assertFalse(usage.value.digital_signature)
        own = made.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        issuer = made.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        self.assertEqual(own.digest, issuer.key_identifier)
        self.assertEqual(made.subject.rfc4514_string(), "CN=konnect-ca")

    def test_leaves(self) -> None:
        """A leaf has one use, is signed by its authority, and only a server's has names."""
        authority = Authority.create("konnect-ca", LIFE)
        issuer = certificate(authority.pair)
        names = [subject_name("localhost"), subject_name("127.0.0.1")]
        server = certificate(authority.issue_server("server", LIFE, names))
        client = certificate(authority.issue_client("client", LIFE))
        for leaf, use in (
            (server, ExtendedKeyUsageOID.SERVER_AUTH),
            (client, ExtendedKeyUsageOID.CLIENT_AUTH),
        ):
            leaf.verify_directly_issued_by(issuer)
            uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            self.assertEqual(list(uses), [use])
            basic = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
            self.assertTrue(basic.critical and not basic.value.ca)
            above = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
            key = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            self.assertEqual(above.key_identifier, key.digest)
        found = server.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        self.assertEqual(list(found.value), names)
        self.assertRaises(
            x509.ExtensionNotFound,
            client.extensions.get_extension_for_class,
            x509.SubjectAlternativeName,
        )

    def test_serial_numbers_are_random(self) -> None:
        """No two certificates have the same serial number, and each is long."""
        authority = Authority.create("a", LIFE)
        serials = {
            certificate(authority.issue_client("same", LIFE)).serial_number for _ in range(8)
        }
        self.assertEqual(len(serials), 8)
        self.assertTrue(any(serial.bit_length() > 100 for serial in serials))

    def test_key_kinds(self) -> None:
        """Keys are ECDSA P-256 or RSA, the leaf's as the authority's; only RSA ones encipher."""
        for bits, kind in ((None, ec.EllipticCurvePrivateKey), (2048, rsa.RSAPrivateKey)):
            authority = Authority.create("a", LIFE, rsa_bits=bits)
            leaf = authority.issue_client("b", LIFE)
            for pair in (authority.pair, leaf):
                self.assertIsInstance(load_pem_private_key(pair.key, None), kind)
            usage = certificate(leaf).extensions.get_extension_for_class(x509.KeyUsage).value
            self.assertTrue(usage.digital_signature)
            self.assertEqual(usage.key_encipherment, bits is not None)

    def test_load(self) -> None:
        """A stored authority issues as it did before."""
        authority = Authority.create("a", LIFE)
        again = Authority.load(authority.pair)
        self.assertEqual(again.pair, authority.pair)
        leaf = certificate(again.issue_client("b", LIFE))
        leaf.verify_directly_issued_by(certificate(authority.pair))

    def test_load_needs_a_key_of_our_kinds(self) -> None:
        """A key that authorities of ours cannot have is refused."""
        authority = Authority.create("a", LIFE)
        key = ed25519.Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.assertRaises(ValueError, Authority.load, Pair(authority.pair.certificate, pem))
