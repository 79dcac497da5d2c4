"""Tests of konnect.net.pem."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import dsa, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from twisted.trial.unittest import SynchronousTestCase

from konnect.app.authority import Authority, Lifetime
from konnect.net.pem import TlsFileError, read_authorities, read_identity
from tests.certificates import pki
from tests.unprivileged import unprivileged


class PemTestCase(SynchronousTestCase):
    """A folder to write files into."""

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="konnect-test-"))
        self.addCleanup(shutil.rmtree, self.directory)

    def write(self, content: bytes) -> str:
        path = self.directory / "file.pem"
        path.write_bytes(content)
        return str(path)

    def refused(self, path: str, *expected: str) -> None:
        """The bundle at `path` is refused, with its path and each of `expected` in the message."""
        error = self.assertRaises(TlsFileError, read_authorities, path)
        self.assertEqual(error.path, path)
        for text in (path, *expected):
            self.assertIn(text, str(error))


class AuthoritiesTests(PemTestCase):
    """read_authorities."""

    def setUp(self) -> None:
        super().setUp()
        self.one = Path(pki().frontend_ca).read_bytes()
        self.two = Path(pki().agent_ca).read_bytes()
        self.key = Path(pki().agent_key).read_bytes()

    def test_reads_all_in_order(self) -> None:
        """All certificates of a bundle are read, in the file's order."""
        found = read_authorities(self.write(self.one + b"some words\n" + self.two))
        self.assertEqual(
            [certificate.public_bytes(Encoding.PEM) for certificate in found], [self.one, self.two]
        )

    def test_windows_line_ends(self) -> None:
        """A bundle with CR LF line ends is read."""
        found = read_authorities(self.write(self.one.replace(b"\n", b"\r\n")))
        self.assertEqual(len(found), 1)

    def test_other_blocks_are_skipped(self) -> None:
        """A block that is no certificate, a private key even, is skipped."""
        self.assertEqual(len(read_authorities(self.write(self.key + self.one))), 1)

    def test_text_that_is_no_pem_is_skipped(self) -> None:
        """A block without its end, and one that is not base64, are skipped and hide nothing."""
        cut = self.one[: len(self.one) // 2] + b"\n"
        not_base64 = b"-----BEGIN CERTIFICATE-----\n?!?!\n-----END CERTIFICATE-----\n"
        for noise in (cut, not_base64):
            self.assertEqual(len(read_authorities(self.write(noise + self.two))), 1)

    def test_a_block_that_is_no_certificate_is_an_error(self) -> None:
        """A CERTIFICATE block whose content is none is refused, and the message says which."""
        broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        self.refused(self.write(self.one + broken), "block 2", "does not hold a certificate")

    def test_no_certificate_is_an_error(self) -> None:
        """A file without any certificate is refused."""
        self.refused(self.write(b"# nothing here\n" + self.key), "no certificate in this CA bundle")
        self.refused(self.write(b""), "no certificate in this CA bundle")

    def test_missing_file(self) -> None:
        """A file that does not exist is refused with what to do."""
        self.refused(str(self.directory / "none"), "no such file", "correct the path")

    def test_directory(self) -> None:
        """A directory is refused."""
        self.refused(str(self.directory), "is a directory")

    def test_impossible_path(self) -> None:
        """A path that no file can have is refused like one that does not exist."""
        self.refused("a\0b", "cannot read the CA bundle")

    def test_unreadable(self) -> None:
        """A file that may not be read is refused with the user who would have to."""
        path = self.write(self.one)
        self.directory.chmod(0o755)
        os.chmod(path, 0)
        with unprivileged():
            self.refused(path, "permission denied", f"let user {os.geteuid()} read it")


class IdentityTests(PemTestCase):
    """read_identity."""

    def setUp(self) -> None:
        super().setUp()
        self.cert = Path(pki().frontend_cert).read_bytes()
        self.key = Path(pki().frontend_key).read_bytes()

    def key_refused(self, content: bytes, expected: str) -> None:
        path = self.write(content)
        error = self.assertRaises(TlsFileError, read_identity, pki().frontend_cert, path)
        self.assertEqual(error.path, path)
        self.assertIn(expected, str(error))
        self.assertNotIn("PRIVATE KEY", str(error))

    def test_chain(self) -> None:
        """The whole chain of a certificate file is read, and the key from a file of its own."""
        path = self.write(self.cert + Path(pki().frontend_ca).read_bytes())
        identity = read_identity(path, pki().frontend_key)
        self.assertEqual(len(identity.chain), 2)

    def test_one_file_for_both(self) -> None:
        """Certificate and key may be in one file."""
        path = self.write(self.key + self.cert)
        self.assertEqual(len(read_identity(path, path).chain), 1)

    def test_traditional_key_formats(self) -> None:
        """An EC key in OpenSSL's old format, with its parameters before it, is read."""
        key = load_pem_private_key(self.key, None)
        old = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        parameters = (
            b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        )
        self.assertIn(b"EC PRIVATE KEY", old)
        read_identity(pki().frontend_cert, self.write(parameters + old))

    def test_rsa(self) -> None:
        """An RSA pair is read."""
        authority = Authority.create("rsa", Lifetime.of_days(1), rsa_bits=2048)
        path = self.write(authority.pair.certificate + authority.pair.key)
        self.assertEqual(len(read_identity(path, path).chain), 1)

    def test_key_of_another_certificate(self) -> None:
        """A key that does not belong to the certificate is refused, naming both files."""
        self.key_refused(
            Path(pki().agent_key).read_bytes(), f"certificate in {pki().frontend_cert}"
        )

    def test_chain_in_wrong_order(self) -> None:
        """A chain whose first certificate is the authority's is refused with the right order."""
        path = self.write(Path(pki().frontend_ca).read_bytes() + self.cert)
        error = self.assertRaises(TlsFileError, read_identity, path, pki().frontend_key)
        self.assertIn("the own certificate before its chain", str(error))

    def test_encrypted_keys(self) -> None:
        """An encrypted key, in either format, is refused with how to decrypt it."""
        key = load_pem_private_key(self.key, None)
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            pem = key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))
            self.key_refused(pem, "the private key is encrypted")

    def test_no_key(self) -> None:
        """A file without a key is refused."""
        self.key_refused(self.cert, "no private key in this file")

    def test_broken_key(self) -> None:
        """A key block that does not parse is refused."""
        self.key_refused(
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "does not parse"
        )

    def test_key_of_a_kind_that_tls_cannot_use(self) -> None:
        """A DSA key is refused with the kinds that work."""
        key = dsa.generate_private_key(2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.key_refused(pem, "ECDSA, Ed25519 or RSA")

    def test_ed25519_key_is_read_before_it_is_compared(self) -> None:
        """A key of another kind than the certificate's is read, and found not to belong to it."""
        key = ed25519.Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.key_refused(pem, "does not belong")
