"""Bad clients and bad agents: one clear line, the right answer, and everybody else is served on.

Each test sends one kind of nonsense to a proxy that others use, looks for the line in its log that
names the peer, and then has the proxy serve a client. What is wrong with flags and files is
`test_bad_start.py`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl

from tests.certificates import pki
from tests.interop.connecting import ConnectClient, client_tls, frontend_socket
from tests.interop.grpcio_streams import assert_grpc_serves
from tests.interop.pairs import TRANSPORTS, InteropTestCase, Pair, Proxy

HTTP1 = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(194)
"""The beginning of a TLS ClientHello."""


class BadInputTestCase(InteropTestCase):
    """Helpers: a raw connection, what came back, and the log line about it."""

    def raw(self, port: int) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.addCleanup(connection.close)
        return connection

    def say(self, connection: socket.socket, data: bytes) -> None:
        """Say all there is to say. The other side may have had enough, and be gone, before."""
        with contextlib.suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

    def answer(self, connection: socket.socket) -> bytes:
        """Everything the other side says until it ends the connection, however it ends it."""
        got = bytearray()
        try:
            while chunk := connection.recv(65536):
                got += chunk
        except TimeoutError:
            raise AssertionError(f"the connection was not ended; it said {bytes(got)!r}") from None
        except OSError:
            pass
        return bytes(got)

    def assert_one_line(self, proxy: Proxy, since: int, peer: str, *words: str) -> None:
        """Exactly one log line since then names the peer, and it holds one of the words."""
        line = proxy.program.wait_for_line(peer, since=since)
        lines = [text for text in proxy.program.log(since).splitlines() if peer in text]
        self.assertEqual(lines, [line])
        if words:
            self.assertTrue(any(word in line for word in words), f"none of {words} in: {line}")

    def assert_serves(self, pair: Pair) -> None:
        """A good client is served."""
        if pair.proxy.mode == "grpc":
            assert_grpc_serves(pair.proxy, self.destination["echo"])
            return
        client = ConnectClient(self, pair.proxy, self.destination["echo"])
        self.assertEqual(client.response().status, 200)
        client.send(b"still there?")
        self.assertEqual(client.receive(12), b"still there?")
        client.close()

    def mtls_pairs(self) -> list[Pair]:
        return [self.pair("grpc", "mtls"), self.pair("http-connect", "mtls")]


def tls_listeners(pair: Pair) -> dict[int, str]:
    """The TLS ports of a proxy over TCP, and the ALPN protocol spoken there."""
    frontend = "h2" if pair.proxy.mode == "grpc" else "http/1.1"
    return {pair.proxy.port: frontend, pair.proxy.agent_port: "h2"}


class CertificateTests(BadInputTestCase):
    """Clients and agents with the wrong certificate, or none: refused in the handshake."""

    def assert_refused(self, cert: str, key: str, *words: str) -> None:
        """Every TLS listener refuses this certificate, says so, and serves on."""
        files = pki()
        for pair in self.mtls_pairs():
            for port, protocol in tls_listeners(pair).items():
                since = pair.proxy.program.log_size()
                ca = files.agent_ca if port == pair.proxy.agent_port else files.frontend_ca
                context = client_tls(ca, cert, key, [protocol])
                raw = self.raw(port)
                peer = f"127.0.0.1:{raw.getsockname()[1]}"
                with (
                    self.assertRaises(ssl.SSLError),
                    context.wrap_socket(raw, server_hostname="localhost") as connection,
                ):
                    # In TLS 1.3 the refusal comes after the client's part of the handshake.
                    connection.recv(1)
                self.assert_one_line(pair.proxy, since, peer, *words)
            self.assert_serves(pair)

    def test_no_certificate(self) -> None:
        """No client certificate: the line says just that."""
        self.assert_refused("", "", "no client certificate")

    def test_wrong_authority(self) -> None:
        """A certificate of another authority: the line names the certificate."""
        files = pki()
        self.assert_refused(files.other_client_cert, files.other_client_key, "other-client")

    def test_expired(self) -> None:
        """An expired certificate: the line says that it expired."""
        files = pki()
        self.assert_refused(files.expired_client_cert, files.expired_client_key, "expired")


class NonsenseTests(BadInputTestCase):
    """Bytes that do not belong where they were sent."""

    def assert_dropped(self, pair: Pair, port: int, data: bytes, *words: str) -> bytes:
        """What is sent to this port is answered by the end of the connection, and one line."""
        since = pair.proxy.program.log_size()
        raw = self.raw(port)
        peer = f"127.0.0.1:{raw.getsockname()[1]}"
        self.say(raw, data)
        answer = self.answer(raw)
        self.assert_one_line(pair.proxy, since, peer, *words)
        self.assert_serves(pair)
        return answer

    def test_garbage_to_tls_ports(self) -> None:
        """Random bytes to a TLS port: the line says that the peer spoke no TLS."""
        for pair in self.mtls_pairs():
            for port in tls_listeners(pair):
                self.assert_dropped(pair, port, os.urandom(600), "TLS")

    def test_plain_http_to_tls_ports(self) -> None:
        """Plain HTTP/1 to a TLS port: the line says that the peer spoke no TLS."""
        for pair in self.mtls_pairs():
            for port in tls_listeners(pair):
                self.assert_dropped(pair, port, HTTP1, "spoke no TLS")

    def test_nothing_at_all(self) -> None:
        """A port scan (connect, say nothing, leave) hurts nobody."""
        for pair in self.mtls_pairs():
            for port in (*tls_listeners(pair), pair.proxy.health_port):
                self.raw(port).close()
            self.assert_serves(pair)

    def test_http_1_over_tls_to_grpc_ports(self) -> None:
        """HTTP/1 inside TLS to a gRPC port: the line says so, and no HTTP/2 is spoken."""
        files = pki()
        pair = self.pair("grpc", "mtls")
        identities = {
            pair.proxy.port: (
                files.frontend_ca,
                files.frontend_client_cert,
                files.frontend_client_key,
            ),
            pair.proxy.agent_port: (files.agent_ca, files.agent_cert, files.agent_key),
        }
        for port, identity in identities.items():
            since = pair.proxy.program.log_size()
            raw = self.raw(port)
            peer = f"127.0.0.1:{raw.getsockname()[1]}"
            context = client_tls(*identity, ["http/1.1"])
            with context.wrap_socket(raw, server_hostname="localhost") as connection:
                self.assertIsNone(connection.selected_alpn_protocol())
                with contextlib.suppress(OSError):  # It may be over before we have spoken.
                    connection.sendall(HTTP1)
                self.answer(connection)
            self.assert_one_line(pair.proxy, since, peer, "HTTP/1", "ALPN")
        self.assert_serves(pair)

    def test_tls_to_the_health_port(self) -> None:
        """TLS to the health port ends; the port answers others on."""
        for pair in self.mtls_pairs():
            raw = self.raw(pair.proxy.health_port)
            self.say(raw, HELLO)
            self.answer(raw)
            self.assertTrue(pair.proxy.ready())

    def test_unix_sockets(self) -> None:
        """Garbage, TLS and the other protocol to a unix socket end the connection, with a line."""
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
        for mode, data in (
            ("grpc", os.urandom(600)),
            ("grpc", HELLO),
            ("grpc", HTTP1),
            ("grpc", preface + b"\xff" * 600),
            ("http-connect", os.urandom(600) + b"\r\n\r\n"),
            ("http-connect", HELLO + b"\r\n\r\n"),
            ("http-connect", preface),
        ):
            pair = self.pair(mode, "uds")
            since = pair.proxy.program.log_size()
            with frontend_socket(pair.proxy) as raw:
                with contextlib.suppress(OSError):
                    raw.sendall(data)
                answer = self.answer(raw)
            if mode == "http-connect":
                self.assertRegex(answer, rb"^HTTP/1\.1 (400|505) ")
            self.assert_one_line(pair.proxy, since, "unix socket")
            self.assert_serves(pair)


class HeadTests(BadInputTestCase):
    """Request heads of the CONNECT frontend that are too long, too slow, or nonsense."""

    def pairs(self) -> list[Pair]:
        return [self.pair("http-connect", transport) for transport in TRANSPORTS]

    def test_nonsense(self) -> None:
        """Malformed requests are answered with 400, and the connection ends."""
        for pair in self.pairs():
            for request in (
                b"CONNECT\r\n\r\n",
                b"CONNECT [::1 HTTP/1.1\r\n\r\n",
                b"CONNECT a:1 HTTP/7.9\r\nHost: x\r\n\r\n",
                b"CONNECT a:1 HTTP/1.1\r\nno colon here\r\n\r\n",
                b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\nBad\0Name: y\r\n\r\n",
                b"GET / HTTP/1.1\r\n\r\n",
            ):
                with frontend_socket(pair.proxy) as raw:
                    raw.sendall(request)
                    answer = self.answer(raw)
                self.assertRegex(answer, rb"^HTTP/1\.1 (400|505) ", request)
            self.assert_serves(pair)

    def test_nonsense_addresses(self) -> None:
        """Addresses that nothing can be dialed at are answered with 502 in Go's words."""
        texts = {
            "nonsense": "dial tcp: address nonsense: missing port in address",
            "127.0.0.1:99999": "dial tcp: address 99999: invalid port",
            "[::1]": "dial tcp: address [::1]: missing port in address",
        }
        for pair in self.pairs():
            for address, text in texts.items():
                answer = ConnectClient(self, pair.proxy, address).response()
                self.assertEqual((answer.status, answer.read().decode()), (502, text))
            self.assert_serves(pair)

    def test_header_above_the_limit(self) -> None:
        """A head over 64 KiB is answered with 431, and one line names the client."""
        for pair in self.pairs():
            since = pair.proxy.program.log_size()
            with frontend_socket(pair.proxy) as raw:
                peer = "" if pair.proxy.uds else f"127.0.0.1:{raw.getsockname()[1]}"
                with contextlib.suppress(OSError):  # It may be answered before the last byte.
                    raw.sendall(b"CONNECT a:1 HTTP/1.1\r\nX: " + b"x" * (1 << 16) + b"y" * 8192)
                self.assertTrue(self.answer(raw).startswith(b"HTTP/1.1 431 "))
            self.assert_one_line(pair.proxy, since, peer or "unix socket")
            self.assert_serves(pair)

    def test_header_just_below(self) -> None:
        """A head just under 64 KiB is served."""
        for pair in self.pairs():
            with frontend_socket(pair.proxy) as raw:
                head = f"CONNECT {self.destination['echo']} HTTP/1.1\r\nHost: x\r\nX: ".encode()
                raw.sendall(head + b"x" * ((1 << 16) - 200) + b"\r\n\r\n")
                self.assertTrue(raw.recv(65536).startswith(b"HTTP/1.1 200 "))

    def test_half_a_header_then_silence(self) -> None:
        """Half a head and then nothing ends the connection without an answer; a line says why."""
        pair = self.own_pair("http-connect", "uds", head_timeout="1s")
        since = pair.proxy.program.log_size()
        with frontend_socket(pair.proxy) as raw:
            raw.sendall(b"CONNECT a:1 HT")
            self.assert_serves(pair)
            self.assertEqual(self.answer(raw), b"")
        self.assert_one_line(pair.proxy, since, "CONNECT request", "unix socket")

    def test_half_a_preface_then_silence(self) -> None:
        """Half an HTTP/2 preface and then nothing ends the connection; a line says why."""
        pair = self.own_pair("grpc", "uds", preface_timeout="1s")
        since = pair.proxy.program.log_size()
        with frontend_socket(pair.proxy) as raw:
            raw.sendall(b"PRI * HT")
            self.assert_serves(pair)
            self.answer(raw)  # The server's own preface, which need not wait for the client's.
        self.assert_one_line(pair.proxy, since, "in time", "unix socket")
