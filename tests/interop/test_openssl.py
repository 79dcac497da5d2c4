"""openssl s_client against every TLS listener: who gets in, and with which protocol."""

from __future__ import annotations

import shutil
import subprocess

from twisted.trial.unittest import SkipTest

from tests.certificates import pki
from tests.interop.pairs import InteropTestCase

FRONTEND = "frontend"
AGENTS = "agents"
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""A client's preface with empty SETTINGS (RFC 9113 section 3.4)."""


class Handshake:
    """What one run of s_client saw.

    s_client gets the request in `say` and then stays until the other side ends the connection, or
    is asked to quit when it is not expected to (`quits`).
    """

    def __init__(self, port: int, *flags: str, say: bytes = b"", quits: bool = True) -> None:
        program = shutil.which("openssl")
        if program is None:
            raise SkipTest("no `openssl` on this machine")
        command = [program, "s_client", "-connect", f"127.0.0.1:{port}", *flags]
        if not quits:
            command.append("-ign_eof")
        done = subprocess.run(
            command, input=say + (b"Q\n" if quits else b""), capture_output=True, timeout=20
        )
        self.received = done.stdout
        """With `-quiet`: the bytes the server sent inside TLS."""
        self.text = (done.stdout + done.stderr).decode(errors="replace")

    def alpn(self) -> str:
        """The protocol the server chose; empty for none."""
        for line in self.text.splitlines():
            if line.startswith("ALPN protocol: "):
                return line.removeprefix("ALPN protocol: ").strip()
        return ""

    def complete(self) -> bool:
        """Whether the client's part of the handshake went through."""
        return "Cipher is (NONE)" not in self.text and "Cipher is " in self.text


def identity(side: str) -> list[str]:
    """s_client's flags for a client of the frontend, or an agent, that may come in."""
    files = pki()
    if side == AGENTS:
        return ["-CAfile", files.agent_ca, "-cert", files.agent_cert, "-key", files.agent_key]
    certificate, key = files.frontend_client_cert, files.frontend_client_key
    return ["-CAfile", files.frontend_ca, "-cert", certificate, "-key", key]


class TlsTests(InteropTestCase):
    """The three TLS listeners: agents, the gRPC frontend, the CONNECT frontend."""

    def setUp(self) -> None:
        super().setUp()
        grpc = self.pair("grpc", "mtls").proxy
        connect = self.pair("http-connect", "mtls").proxy
        self.grpc = [(FRONTEND, grpc.port), (AGENTS, grpc.agent_port)]
        self.connect = connect.port
        self.all = [*self.grpc, (FRONTEND, connect.port)]

    def test_h2_is_chosen(self) -> None:
        """gRPC listeners choose h2, wherever it stands among the offers."""
        for side, port in self.grpc:
            for offer in ("h2", "http/1.1,h2", "extra,h2"):
                seen = Handshake(port, *identity(side), "-alpn", offer)
                self.assertEqual(seen.alpn(), "h2", seen.text)

    def test_certificate_of_the_proxy(self) -> None:
        """The chain verifies, for the names of the certificate."""
        for side, port in self.all:
            for name in ("localhost", "127.0.0.1"):
                kind = "-verify_ip" if name[0] == "1" else "-verify_hostname"
                seen = Handshake(port, *identity(side), kind, name, "-verify_return_error")
                self.assertIn("Verify return code: 0 (ok)", seen.text)

    def test_grpc_without_alpn(self) -> None:
        """A client without ALPN, or with http/1.1 alone, completes TLS and gets no HTTP/2."""
        for side, port in self.grpc:
            for offer in ([], ["-alpn", "http/1.1"]):
                seen = Handshake(port, *identity(side), *offer)
                self.assertTrue(seen.complete(), seen.text)
                self.assertEqual(seen.alpn(), "")
                seen = Handshake(
                    port, *identity(side), *offer, "-quiet", say=HTTP2_PREFACE, quits=False
                )
                self.assertEqual(seen.received, b"")

    def test_grpc_with_another_protocol(self) -> None:
        """A client that offers only other protocols gets TLS's own alert."""
        for side, port in self.grpc:
            seen = Handshake(port, *identity(side), "-alpn", "spdy/3")
            self.assertIn("alert no application protocol", seen.text)

    def test_connect_alpn(self) -> None:
        """The CONNECT frontend speaks http/1.1, asked for or not, and refuses h2 alone."""
        flags = identity(FRONTEND)
        self.assertEqual(Handshake(self.connect, *flags, "-alpn", "h2,http/1.1").alpn(), "http/1.1")
        silent = Handshake(self.connect, *flags)
        self.assertTrue(silent.complete(), silent.text)
        self.assertEqual(silent.alpn(), "")
        refused = Handshake(self.connect, *flags, "-alpn", "h2")
        self.assertIn("alert no application protocol", refused.text)

    def test_no_certificate(self) -> None:
        """Without a client certificate the handshake fails; TLS 1.3 has its own alert for it."""
        for _, port in self.all:
            seen = Handshake(port, "-tls1_3", quits=False)
            self.assertIn("alert certificate required", seen.text)
            seen = Handshake(port, "-tls1_2", quits=False)
            self.assertRegex(seen.text, "alert (handshake failure|bad certificate)")

    def test_certificate_is_asked_for(self) -> None:
        """The server asks for a certificate and says which authority it trusts."""
        for _, port in self.all:
            seen = Handshake(port, "-tls1_2", quits=False)
            self.assertIn("Acceptable client certificate CA names", seen.text)

    def test_foreign_certificate(self) -> None:
        """A client certificate of another authority is refused with an alert."""
        files = pki()
        for _, port in self.all:
            flags = ["-cert", files.other_client_cert, "-key", files.other_client_key]
            seen = Handshake(port, *flags, quits=False)
            self.assertRegex(seen.text, "alert (unknown ca|bad certificate)")

    def test_expired_certificate(self) -> None:
        """An expired client certificate is refused with an alert that says so."""
        files = pki()
        expired = {
            FRONTEND: (files.expired_client_cert, files.expired_client_key),
            AGENTS: (files.expired_agent_cert, files.expired_agent_key),
        }
        for side, port in self.all:
            certificate, key = expired[side]
            seen = Handshake(port, "-cert", certificate, "-key", key, quits=False)
            self.assertRegex(seen.text, "alert (certificate expired|bad certificate)")

    def test_versions(self) -> None:
        """TLS 1.2 and 1.3 are spoken, 1.1 is not."""
        for side, port in self.all:
            for flag, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
                seen = Handshake(port, *identity(side), flag)
                self.assertIn(f"New, {name}, Cipher is", seen.text)
            weak = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
            seen = Handshake(port, *identity(side), *weak, quits=False)
            self.assertIn("alert protocol version", seen.text)

    def test_tls_to_plain_ports(self) -> None:
        """TLS to the health port, or to a unix socket, fails quickly and hurts nobody."""
        proxy = self.pair("http-connect", "uds").proxy
        plain = Handshake(proxy.health_port, quits=False)
        self.assertFalse(plain.complete())
        self.assertTrue(proxy.ready())


class MinimumVersionTests(InteropTestCase):
    """`--tls-min-version` and what happens without a cluster CA."""

    def test_minimum(self) -> None:
        """With VersionTLS13 a TLS 1.2 client is refused, on both TLS listeners."""
        proxy = self.proxy("grpc", "mtls", tls_min_version="VersionTLS13")
        for side, port in ((FRONTEND, proxy.port), (AGENTS, proxy.agent_port)):
            seen = Handshake(port, *identity(side), "-tls1_2", quits=False)
            self.assertIn("alert protocol version", seen.text)
            self.assertTrue(Handshake(port, *identity(side), "-tls1_3").complete())

    def test_cipher_suites(self) -> None:
        """With --cipher-suites a TLS 1.2 client gets one of those, on both TLS listeners."""
        name = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
        proxy = self.proxy("grpc", "mtls", cipher_suites=name)
        for side, port in ((FRONTEND, proxy.port), (AGENTS, proxy.agent_port)):
            seen = Handshake(port, *identity(side), "-tls1_2")
            self.assertIn("Cipher is ECDHE-ECDSA-CHACHA20-POLY1305", seen.text)

    def test_no_cluster_ca(self) -> None:
        """Without --cluster-ca-cert agents need no certificate and none is asked for."""
        proxy = self.proxy(cluster_ca_cert="")
        seen = Handshake(proxy.agent_port, "-alpn", "h2")
        self.assertTrue(seen.complete(), seen.text)
        self.assertEqual(seen.alpn(), "h2")
        self.assertNotIn("Acceptable client certificate CA names", seen.text)
