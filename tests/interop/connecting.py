"""A CONNECT client on a bare socket: the standard library's socket, ssl and http."""

from __future__ import annotations

import http.client
import socket
import ssl

from tests.certificates import pki
from tests.interop.pairs import InteropTestCase, Proxy

WAIT = 10.0
QUIET = 0.3


def client_tls(
    ca: str = "", cert: str = "", key: str = "", alpn: list[str] | None = None
) -> ssl.SSLContext:
    """A client's TLS settings. Empty `ca`: the frontend's; empty `cert`: no client certificate."""
    context = ssl.create_default_context(cafile=ca or pki().frontend_ca)
    if cert:
        context.load_cert_chain(cert, key)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def frontend_socket(proxy: Proxy) -> socket.socket:
    """A connection to a proxy's frontend, as its transport demands; every wait on it is bounded."""
    if proxy.uds:
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(WAIT)
        raw.connect(proxy.uds)
        return raw
    raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=WAIT)
    files = pki()
    context = client_tls("", files.frontend_client_cert, files.frontend_client_key)
    return context.wrap_socket(raw, server_hostname="localhost")


class ConnectClient:
    """A connection that has sent a CONNECT request, the way kube-apiserver writes it."""

    def __init__(
        self, case: InteropTestCase, proxy: Proxy, address: str, early: bytes = b""
    ) -> None:
        self.socket = frontend_socket(proxy)
        case.addCleanup(self.close)
        request = f"CONNECT {address} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        self.socket.sendall(request.encode() + early)

    def response(self) -> http.client.HTTPResponse:
        """The response, read by the standard library. Only for what nothing follows at once."""
        answer = http.client.HTTPResponse(self.socket, method="CONNECT")
        answer.begin()
        return answer

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def finish(self) -> None:
        """Shut down the sending side."""
        self.socket.shutdown(socket.SHUT_WR)

    def receive_segment(self) -> bytes:
        """What one read gives."""
        return self.socket.recv(65536)

    def receive(self, length: int) -> bytes:
        """Exactly `length` bytes."""
        got = bytearray()
        while len(got) < length:
            chunk = self.socket.recv(length - len(got))
            if not chunk:
                raise AssertionError(f"the end came after {bytes(got)!r}, wanted {length} bytes")
            got += chunk
        return bytes(got)

    def receive_to_end(self) -> bytes:
        """Everything up to the end."""
        got = bytearray()
        while chunk := self.socket.recv(65536):
            got += chunk
        return bytes(got)

    def assert_silent(self, seconds: float = QUIET) -> None:
        """Not a byte, and no end, for a while."""
        self.socket.settimeout(seconds)
        try:
            got = self.socket.recv(65536)
        except TimeoutError:
            return
        finally:
            self.socket.settimeout(WAIT)
        raise AssertionError(f"expected silence, got {got!r}")

    def close(self) -> None:
        self.socket.close()
