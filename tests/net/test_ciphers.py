"""Tests of konnect.net.ciphers, and of what listeners offer with it."""

from __future__ import annotations

from collections.abc import Sequence

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.tls import ServerTls, client_context, server_context
from tests.certificates import pki
from tests.net.tls_pair import AnyClient, TlsPair


def listener(ciphers: Sequence[str] = (), minimum: str = "1.2") -> ServerTls:
    """A listener that asks for no certificate."""
    p = pki()
    return server_context(
        p.frontend_cert, p.frontend_key, None, ["h2"], minimum=minimum, ciphers=ciphers
    )


def speaking(version: int) -> AnyClient:
    """A client that speaks this version of TLS at most, any suite, and verifies nothing."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_max_proto_version(version)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    return AnyClient(context)


class CipherTests(SynchronousTestCase):
    """Suites in Go's names, and the versions that they belong to."""

    def test_chosen_ciphers(self) -> None:
        """Of suites up to TLS 1.2 only those asked for are offered; those of 1.3 always are."""
        asked = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"]
        names = SSL.Connection(listener(asked).context, None).get_cipher_list()
        self.assertEqual(
            [name for name in names if not name.startswith("TLS_")], ["ECDHE-RSA-AES128-GCM-SHA256"]
        )
        self.assertEqual(len([name for name in names if name.startswith("TLS_")]), 3)
        asked = ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"]
        pair = TlsPair(listener(asked), speaking(SSL.TLS1_2_VERSION))
        self.assertEqual(pair.client.handle.get_cipher_name(), "ECDHE-ECDSA-AES128-SHA")

    def test_order(self) -> None:
        """AES of 128 bits is what both of ours agree on, and what a listener takes of a peer that
        would rather have 256."""
        p = pki()
        ours = client_context("127.0.0.1", p.frontend_ca)
        pair = TlsPair(listener(), ours)
        for end in (pair.server, pair.client):
            self.assertEqual(end.handle.get_cipher_name(), "TLS_AES_128_GCM_SHA256")
        theirs = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None).get_cipher_list()
        self.assertIn("AES_256", theirs[0])
        for version, chosen in (
            (SSL.TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256"),
            (SSL.TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ):
            pair = TlsPair(listener(), speaking(version))
            self.assertEqual(pair.server.handle.get_cipher_name(), chosen)

    def test_suites_of_tls13_alone(self) -> None:
        """With those alone nothing before TLS 1.3 can be agreed on, as in Go."""
        tls = listener(["TLS_AES_128_GCM_SHA256"])
        pair = TlsPair(tls, speaking(SSL.TLS1_2_VERSION))
        self.assertFalse(pair.server.secure)
        self.assertTrue(TlsPair(tls, speaking(SSL.TLS1_3_VERSION)).server.secure)

    def test_unknown_cipher(self) -> None:
        """A suite that is not among Go's secure ones is refused by name."""
        error = self.assertRaises(ValueError, listener, ["TLS_RSA_WITH_RC4_128_SHA"])
        self.assertIn("'TLS_RSA_WITH_RC4_128_SHA' is not one of", str(error))

    def test_forbidden_versions_can_be_asked_for(self) -> None:
        """TLS 1.0 and 1.1 are spoken by a listener that was told to, and not by a newer one."""
        for version, minimum in ((SSL.TLS1_VERSION, "1.0"), (SSL.TLS1_1_VERSION, "1.1")):
            pair = TlsPair(listener(minimum=minimum), speaking(version))
            self.assertTrue(pair.client.secure, pair.client.ended)
        pair = TlsPair(listener(minimum="1.1"), speaking(SSL.TLS1_VERSION))
        self.assertFalse(pair.client.secure)
