"""Tests of konnect.net.tls, both sides joined in memory."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtensionOID
from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from konnect.app.authority import Authority, Lifetime, Pair
from konnect.app.certs import write_pair
from konnect.net.tls import (
    ClientTls,
    ServerTls,
    TlsFileError,
    client_context,
    peer_name,
    server_context,
)
from tests.certificates import pki
from tests.net.tls_pair import AnyClient, TlsPair

FROM_CLIENT = " (peer 192.0.2.2:40000)"
FROM_SERVER = " (peer 192.0.2.1:8090)"


def server(
    alpn: Sequence[str] = ("h2",), *, ca: str | None = "", minimum: str = "1.2"
) -> ServerTls:
    """The frontend's listener; `ca` None: it asks for no certificate."""
    p = pki()
    bundle = p.frontend_ca if ca == "" else ca
    return server_context(p.frontend_cert, p.frontend_key, bundle, alpn, minimum=minimum)


def client(
    alpn: Sequence[str] = ("h2",), *, host: str = "localhost", cert: bool = True
) -> ClientTls:
    """A client with the right certificate or none."""
    p = pki()
    if not cert:
        return client_context(host, p.frontend_ca, alpn=alpn)
    return client_context(host, p.frontend_ca, p.frontend_client_cert, p.frontend_client_key, alpn)


def frontend_authority() -> Authority:
    """The authority that the frontend's certificates come from."""
    side = pki().tree.frontend
    return Authority.load(Pair(side.ca.read_bytes(), side.key("ca").read_bytes()))


def stored(test: SynchronousTestCase, pair: Pair) -> tuple[str, str]:
    """The paths of a certificate and its key, as files for the time of a test."""
    directory = Path(tempfile.mkdtemp(prefix="konnect-test-"))
    test.addCleanup(shutil.rmtree, directory)
    write_pair(directory / "cert", directory / "key", pair)
    return str(directory / "cert"), str(directory / "key")


class BothSidesTests(SynchronousTestCase):
    """Handshakes that succeed."""

    def assertSecure(self, pair: TlsPair) -> None:
        self.assertTrue(pair.server.secure)
        self.assertTrue(pair.client.secure)
        self.assertEqual((pair.server.ended, pair.client.ended), (None, None))

    def test_interfaces(self) -> None:
        """The contexts are what Twisted's endpoint wrappers take."""
        verifyObject(IOpenSSLServerConnectionCreator, server())
        verifyObject(IOpenSSLClientConnectionCreator, client())

    def test_mutual(self) -> None:
        """Both sides prove who they are, agree on h2, and exchange bytes."""
        pair = TlsPair(server(), client())
        self.assertSecure(pair)
        self.assertEqual((pair.server.alpn, pair.client.alpn), (b"h2", b"h2"))
        self.assertEqual((pair.server.peer, pair.client.peer), ("proxy-client", "proxy-frontend"))
        pair.say(pair.client, b"ping")
        pair.say(pair.server, b"pong")
        self.assertEqual((pair.server.received, pair.client.received), (b"ping", b"pong"))

    def test_listener_without_ca_asks_for_no_certificate(self) -> None:
        """Without a CA bundle the client stays anonymous, even if it has a certificate."""
        for tls in (client(cert=False), client(cert=True)):
            pair = TlsPair(server(ca=None), tls)
            self.assertSecure(pair)
            self.assertIsNone(pair.server.peer)

    def test_server_name_indication(self) -> None:
        """A host name is sent as SNI, without a final dot; an IP address never is."""
        for host, sent in (
            ("localhost", b"localhost"),
            ("localhost.", b"localhost"),
            ("127.0.0.1", None),
            ("::1", None),
        ):
            pair = TlsPair(server(), client(host=host))
            self.assertSecure(pair)
            self.assertEqual(pair.server.handle.get_servername(), sent)

    def test_only_the_chain_of_the_file_is_sent(self) -> None:
        """The authority's certificate is not sent unless it is in the certificate file."""
        pair = TlsPair(server(), client())
        self.assertEqual(len(pair.client.handle.get_peer_cert_chain() or ()), 1)

    def test_the_authorities_are_named_to_the_client(self) -> None:
        """A client with several certificates can tell which one is wanted."""
        pair = TlsPair(server(), client())
        names = pair.client.handle.get_client_ca_list(as_cryptography=True)
        self.assertEqual(len(names), 1)
        self.assertIn("konnect-frontend-ca", names[0].rfc4514_string())

    def test_a_certificate_in_the_bundle_is_trusted_without_its_issuer(self) -> None:
        """What the bundle holds is an anchor itself, self-signed or not, as in Go."""
        pair = TlsPair(server(ca=pki().frontend_client_cert), client())
        self.assertSecure(pair)

    def test_no_session_is_kept_and_buffers_are_released(self) -> None:
        """A listener issues no tickets, keeps no sessions, and idle connections hold no buffers."""
        context = server().context
        self.assertEqual(context.get_session_cache_mode(), SSL.SESS_CACHE_OFF)
        self.assertTrue(context.set_options(0) & SSL.OP_NO_TICKET)
        self.assertTrue(context.set_mode(0) & SSL.MODE_RELEASE_BUFFERS)

    def test_a_huge_bundle_does_not_stop_the_handshake(self) -> None:
        """With more authorities than fit into one flight, none is named and the handshake ends."""
        directory = Path(tempfile.mkdtemp(prefix="konnect-test-"))
        self.addCleanup(shutil.rmtree, directory)
        life = Lifetime.of_days(1)
        bundle = directory / "bundle.crt"
        authorities = [Authority.create(f"{number:064}", life) for number in range(450)]
        bundle.write_bytes(
            Path(pki().frontend_ca).read_bytes()
            + b"".join(authority.pair.certificate for authority in authorities)
        )
        pair = TlsPair(server(ca=str(bundle)), client())
        self.assertSecure(pair)
        self.assertEqual(pair.client.handle.get_client_ca_list(as_cryptography=True), [])

    def test_peer_name_of_what_is_not_tls(self) -> None:
        """A plain transport has no peer name, and neither has nothing."""
        pair = TlsPair(None, None)
        self.assertIsNone(peer_name(pair.server.transport))
        self.assertIsNone(peer_name(None))

    def test_peer_name_is_safe_to_log(self) -> None:
        """A certificate's name cannot break a log line or make it endless."""
        issued = frontend_authority().issue_client("a\nb\x1b[2J", Lifetime.of_days(1))
        tls = client_context("localhost", pki().frontend_ca, *stored(self, issued), ["h2"])
        self.assertEqual(TlsPair(server(), tls).server.peer, "a?b?[2J")


class AlpnTests(SynchronousTestCase):
    """Which protocol is chosen (upstream's behaviour)."""

    def test_chosen(self) -> None:
        """The listener's first protocol that the client offers is chosen, whatever its order."""
        for ours, offered, chosen in (
            (["h2"], ["h2"], b"h2"),
            (["h2"], ["foo", "h2"], b"h2"),
            (["h2"], ["http/1.1", "h2"], b"h2"),
            (["http/1.1"], ["h2", "http/1.1"], b"http/1.1"),
            (["h2", "http/1.1"], ["http/1.1", "h2"], b"h2"),
        ):
            pair = TlsPair(server(ours), client(offered))
            self.assertEqual((pair.server.alpn, pair.client.alpn), (chosen, chosen))

    def test_none(self) -> None:
        """Without an offer, and for http/1.1 at an h2 listener, the handshake ends without ALPN."""
        for ours, offered in ((["h2"], []), (["http/1.1"], []), (["h2"], ["http/1.1", "foo"])):
            pair = TlsPair(server(ours), client(offered))
            self.assertTrue(pair.client.secure)
            self.assertEqual((pair.server.alpn, pair.client.alpn), (None, None))

    def test_refused(self) -> None:
        """Offers without anything in common get the alert no_application_protocol."""
        for ours, offered in (
            (["h2"], ["foo", "bar"]),
            (["http/1.1"], ["h2"]),
            (["foo"], ["http/1.1"]),
        ):
            pair = TlsPair(server(ours), client(offered))
            only = ", ".join(repr(name) for name in offered)
            self.assertEqual(
                pair.server.ended,
                f"client offers none of our ALPN protocols, only {only}{FROM_CLIENT}",
            )
            self.assertEqual(
                pair.client.ended, f"the peer speaks none of our ALPN protocols{FROM_SERVER}"
            )

    def test_listener_without_alpn(self) -> None:
        """A listener that was given no protocols ignores what clients offer."""
        pair = TlsPair(server([]), client(["foo"]))
        self.assertTrue(pair.server.secure)
        self.assertIsNone(pair.client.alpn)


class RefusedClientTests(SynchronousTestCase):
    """What a listener does not accept, and what each side says about it."""

    def refused(
        self, tls: AnyClient | ClientTls | None, server_says: str, client_says: str | None
    ) -> None:
        listener = server()
        pair = TlsPair(listener, tls)
        self.assertFalse(pair.server.secure)
        self.assertEqual(pair.server.ended, server_says + FROM_CLIENT)
        if client_says is not None:
            self.assertEqual(pair.client.ended, client_says + FROM_SERVER)
        good = TlsPair(listener, client())
        self.assertTrue(good.server.secure, "the next client has to be served")

    def own(self, cert: str, key: str) -> ClientTls:
        return client_context("localhost", pki().frontend_ca, cert, key, ["h2"])

    def test_no_certificate(self) -> None:
        """A client without a certificate is refused."""
        self.refused(
            client(cert=False),
            "no client certificate was sent",
            "the peer demands a client certificate and we sent none",
        )

    def test_unknown_authority(self) -> None:
        """A client of an unknown authority is refused with the names of both."""
        p = pki()
        self.refused(
            self.own(p.other_client_cert, p.other_client_key),
            "client certificate comes from an unknown certificate authority (CN=other-client),"
            " issuer CN=konnect-test-other-ca",
            "the peer refused our certificate: it does not know the authority that issued it",
        )

    def test_certificate_of_the_other_side(self) -> None:
        """An agent's certificate opens nothing at the frontend."""
        p = pki()
        pair = TlsPair(server(), self.own(p.agent_cert, p.agent_key))
        self.assertIn("unknown certificate authority (CN=proxy-agent)", str(pair.server.ended))

    def test_expired(self) -> None:
        """A client whose certificate has expired is refused with its name and the date."""
        p = pki()
        pair = TlsPair(server(), self.own(p.expired_client_cert, p.expired_client_key))
        self.assertRegex(
            str(pair.server.ended),
            r"^client certificate has expired \(CN=expired-client\),"
            r" valid until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(peer 192\.0\.2\.2:40000\)$",
        )
        self.assertEqual(
            pair.client.ended, f"the peer refused our certificate: it has expired{FROM_SERVER}"
        )

    def test_not_valid_yet(self) -> None:
        """A client whose certificate is for the future is refused with its name and the date."""
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        pair = frontend_authority().issue_client("early", Lifetime(now + day, now + 2 * day))
        pair_files = stored(self, pair)
        ended = str(TlsPair(server(), self.own(*pair_files)).server.ended)
        self.assertIn("client certificate is not valid yet (CN=early), valid from 2", ended)

    def test_malformed_content(self) -> None:
        """A certificate whose names do not parse is refused, or has no name; nothing breaks."""
        key = load_pem_private_key(frontend_authority().pair.key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        issuer = x509.load_pem_x509_certificate(frontend_authority().pair.certificate)
        now = datetime.datetime.now(datetime.UTC)
        own_key = ec.generate_private_key(ec.SECP256R1())
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(issuer.subject)
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .public_key(own_key.public_key())
            .add_extension(
                x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\xff\xff"),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        content = Pair(
            made.public_bytes(Encoding.PEM),
            own_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )
        cert, key_file = stored(self, content)
        pair = TlsPair(server(), self.own(cert, key_file))
        self.assertIsNone(pair.server.peer)
        tls = server_context(cert, key_file, None, ["h2"])
        self.assertFalse(TlsPair(tls, client()).client.secure)

    def test_certificate_for_another_use(self) -> None:
        """A server's certificate does not make a client."""
        p = pki()
        self.refused(
            self.own(p.frontend_cert, p.frontend_key),
            "client certificate is not meant for this use (CN=proxy-frontend)",
            "the peer refused our certificate: it is not meant for this use",
        )

    def test_old_tls(self) -> None:
        """TLS 1.1 is refused, and TLS 1.2 where 1.3 is the minimum."""
        for highest, minimum in ((SSL.TLS1_1_VERSION, "1.2"), (SSL.TLS1_2_VERSION, "1.3")):
            context = SSL.Context(SSL.TLS_CLIENT_METHOD)
            context.set_max_proto_version(highest)
            context.set_cipher_list(b"ALL:@SECLEVEL=0")
            pair = TlsPair(server(minimum=minimum), AnyClient(context))
            self.assertEqual(
                pair.server.ended, f"the peer speaks no TLS version that we allow{FROM_CLIENT}"
            )

    def test_ciphers(self) -> None:
        """For TLS 1.2 only suites with forward secrecy are offered, those with AEAD first."""
        names = SSL.Connection(server().context, None).get_cipher_list()
        old = [name for name in names if not name.startswith("TLS_")]
        self.assertTrue(all(name.startswith("ECDHE-") for name in old), old)
        self.assertIn("GCM", old[0])

    def test_no_common_cipher(self) -> None:
        """A TLS 1.2 client that only knows RSA key exchange is refused."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(b"AES128-SHA:AES256-GCM-SHA384:@SECLEVEL=0")
        self.refused(
            AnyClient(context),
            "the peer offers no cipher that we allow",
            "the peer refused the handshake: no common cipher, or no certificate",
        )

    def test_bytes_that_are_no_tls(self) -> None:
        """Whatever is no TLS is refused in one line, and the next client is served."""
        listener = server()
        for sent, said in (
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "the peer spoke no TLS but plain HTTP"),
            (b"CONNECT a:1 HTTP/1.1\r\n\r\n", "the peer spoke no TLS but plain HTTP"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "the peer spoke no TLS"),
            (b"\x16\x03\x01\xff\xff" + b"a" * 100, "the peer spoke no TLS"),
            (b"\x16\x03\x01\x00\x05hello", "the peer spoke no TLS"),
            (bytes(2000), "the peer spoke no TLS"),
        ):
            pair = TlsPair(listener, None)
            pair.say(pair.client, sent)
            self.assertEqual(pair.server.ended, said + FROM_CLIENT)
        self.assertTrue(TlsPair(listener, client()).server.secure)

    def test_peer_that_leaves_in_the_handshake(self) -> None:
        """A peer that hangs up before the handshake's end is told from one that leaves later."""
        early = TlsPair(server(), None)
        early.client.transport.loseConnection()  # type: ignore[union-attr]
        early.pump.flush()
        self.assertEqual(
            early.server.ended,
            f"the peer closed the connection during the TLS handshake{FROM_CLIENT}",
        )
        late = TlsPair(server(), client())
        late.client.transport.loseConnection()  # type: ignore[union-attr]
        late.pump.flush()
        self.assertEqual(late.server.ended, f"connection closed by the peer{FROM_CLIENT}")


class RefusedServerTests(SynchronousTestCase):
    """What our own connections do not accept."""

    def refused(self, tls: ServerTls | None, host: str, client_says: str) -> TlsPair:
        pair = TlsPair(tls, client(host=host))
        self.assertFalse(pair.client.secure)
        self.assertEqual(pair.client.ended, client_says + FROM_SERVER)
        return pair

    def test_other_name(self) -> None:
        """A server is refused if its certificate is not for the name or address we wanted."""
        names = "kubernetes, localhost, 127.0.0.1, ::1"
        for host in ("proxy.example", "10.0.0.1", "fe80::1"):
            pair = self.refused(
                server(),
                host,
                f"server certificate is not valid for {host} (CN=proxy-frontend), only for {names}",
            )
            self.assertIn("the peer refused our certificate", str(pair.server.ended))

    def test_name_only_as_common_name(self) -> None:
        """A common name alone does not make a server's certificate valid for it."""
        p = pki()
        tls = server_context(p.misnamed_server_cert, p.misnamed_server_key, None)
        self.refused(
            tls,
            "misnamed-server",
            "server certificate is not valid for misnamed-server (CN=misnamed-server),"
            " only for elsewhere.example",
        )

    def test_expired(self) -> None:
        """A server whose certificate has expired is refused."""
        p = pki()
        tls = server_context(p.expired_server_cert, p.expired_server_key, None)
        pair = TlsPair(tls, client())
        self.assertIn("server certificate has expired (CN=expired-server)", str(pair.client.ended))

    def test_unknown_authority(self) -> None:
        """A server of an unknown authority is refused, with the name that is missing here."""
        p = pki()
        tls = server_context(p.other_server_cert, p.other_server_key, None)
        self.refused(
            tls,
            "localhost",
            "server certificate comes from an unknown certificate authority (CN=other-server),"
            " issuer CN=konnect-test-other-ca",
        )

    def test_unknown_authority_in_the_chain(self) -> None:
        """A server that sends its own unknown authority along is refused with that one's name."""
        p = pki()
        chain = Path(self.mktemp())
        chain.write_bytes(Path(p.other_server_cert).read_bytes() + Path(p.other_ca).read_bytes())
        self.refused(
            server_context(str(chain), p.other_server_key, None),
            "localhost",
            "server certificate comes from an unknown certificate authority,"
            " CN=konnect-test-other-ca",
        )

    def test_client_certificate(self) -> None:
        """A client's certificate does not make a server."""
        p = pki()
        tls = server_context(p.frontend_client_cert, p.frontend_client_key, None)
        self.refused(
            tls,
            "localhost",
            "server certificate is not meant for this use (CN=proxy-client)",
        )

    def test_server_that_is_no_tls(self) -> None:
        """A server that answers in plain text is called just that."""
        pair = TlsPair(None, client())
        pair.say(pair.server, b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.assertEqual(pair.client.ended, f"the peer spoke no TLS{FROM_SERVER}")


class BadArgumentsTests(SynchronousTestCase):
    """What cannot become a context at all."""

    def test_files_are_named(self) -> None:
        """A file that cannot be used is named, whichever of the three it is."""
        p = pki()
        good = [p.frontend_cert, p.frontend_key, p.frontend_ca]
        for position in range(3):
            paths = [*good[:position], "/nowhere/file.pem", *good[position + 1 :]]
            error = self.assertRaises(TlsFileError, server_context, *paths, ["h2"])
            self.assertEqual(error.path, "/nowhere/file.pem")
            ours = (paths[2], paths[0], paths[1])
            error = self.assertRaises(TlsFileError, client_context, "localhost", *ours)
            self.assertEqual(error.path, "/nowhere/file.pem")

    def test_half_a_client_identity(self) -> None:
        """A client certificate without its key, or the other way round, is refused."""
        p = pki()
        for cert, key in ((p.frontend_client_cert, None), (None, p.frontend_client_key)):
            self.assertRaises(ValueError, client_context, "localhost", p.frontend_ca, cert, key)

    def test_minimum(self) -> None:
        """A minimum that is no version is refused, and 1.3 works."""
        for minimum in ("1.4", "TLS1.2", ""):
            self.assertRaises(ValueError, server, minimum=minimum)
        self.assertTrue(TlsPair(server(minimum="1.3"), client()).server.secure)
