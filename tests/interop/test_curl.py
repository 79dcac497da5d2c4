"""curl through the CONNECT frontend to an HTTP destination, over mutual TLS and unix socket."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

from twisted.trial.unittest import SkipTest

from tests.certificates import pki
from tests.interop.connecting import ConnectClient, frontend_socket
from tests.interop.destination import BANNER, pattern
from tests.interop.pairs import TRANSPORTS, InteropTestCase, Proxy

GREETING = b"hello through the tunnel\n"


def curl(*arguments: str, seconds: float = 30.0) -> subprocess.CompletedProcess[bytes]:
    """Run curl; skips the test where there is none."""
    program = shutil.which("curl")
    if program is None:
        raise SkipTest("no `curl` on this machine")
    command = [program, "--silent", "--show-error", "--max-time", f"{seconds:g}", *arguments]
    return subprocess.run(command, capture_output=True, timeout=seconds + 5, env={})


def through(proxy: Proxy) -> list[str]:
    """curl's flags for a CONNECT frontend over mutual TLS, as upstream's README has them."""
    files = pki()
    return [
        "-p",
        *("-x", f"https://localhost:{proxy.port}"),
        *("--proxy-cacert", files.frontend_ca),
        *("--proxy-cert", files.frontend_client_cert),
        *("--proxy-key", files.frontend_client_key),
    ]


class CurlTests(InteropTestCase):
    """curl with `-x https://`, which is HTTP/1.1 over mutual TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.server = self.pair("http-connect", "mtls").proxy

    def test_page(self) -> None:
        """A page comes through, with 200 from both the proxy and the destination."""
        done = curl(
            *through(self.server),
            *("-w", "%{http_connect} %{http_code}"),
            f"http://{self.destination['http']}/success",
        )
        self.assertEqual((done.returncode, done.stdout), (0, GREETING + b"200 200"), done.stderr)

    def test_by_address(self) -> None:
        """The proxy's certificate also holds for its address."""
        flags = [flag.replace("//localhost", "//127.0.0.1") for flag in through(self.server)]
        done = curl(*flags, f"http://{self.destination['http']}/success")
        self.assertEqual((done.returncode, done.stdout), (0, GREETING), done.stderr)

    def test_old_tls(self) -> None:
        """TLS 1.2 is enough."""
        flags = [*through(self.server), "--proxy-tlsv1", "--tls-max", "1.2"]
        done = curl(*flags, f"http://{self.destination['http']}/success")
        self.assertEqual((done.returncode, done.stdout), (0, GREETING), done.stderr)

    def test_large_page(self) -> None:
        """20 MB arrive whole."""
        done = curl(*through(self.server), f"http://{self.destination['http']}/bytes/20000000")
        self.assertEqual(done.returncode, 0, done.stderr)
        wanted = hashlib.sha256(pattern(20_000_000)).hexdigest()
        self.assertEqual(hashlib.sha256(done.stdout).hexdigest(), wanted)

    def test_several_at_once(self) -> None:
        """Twenty transfers in parallel by one curl."""
        url = f"http://{self.destination['http']}/bytes/50000?[1-20]"
        done = curl(*through(self.server), "--parallel", url)
        self.assertEqual((done.returncode, len(done.stdout)), (0, 20 * 50_000), done.stderr)

    def test_refused(self) -> None:
        """curl reports the status of a refused dial."""
        done = curl(*through(self.server), "-w", "%{http_connect}", "http://127.0.0.1:1/")
        self.assertEqual((done.returncode, done.stdout), (56, b"502"), done.stderr)

    def test_without_a_certificate(self) -> None:
        """Without a client certificate there is no way through."""
        files = pki()
        done = curl(
            *("-p", "-x", f"https://localhost:{self.server.port}"),
            *("--proxy-cacert", files.frontend_ca),
            f"http://{self.destination['http']}/success",
        )
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, b"")

    def test_not_a_connect(self) -> None:
        """Any other method is answered with 405, and curl can read it."""
        files = pki()
        done = curl(
            *("--cacert", files.frontend_ca),
            *("--cert", files.frontend_client_cert),
            *("--key", files.frontend_client_key),
            *("-w", "%{http_code}"),
            f"https://localhost:{self.server.port}/",
        )
        self.assertEqual(
            done.stdout, b"this proxy only supports CONNECT passthrough\n405", done.stderr
        )


class UnixSocketTests(InteropTestCase):
    """The same frontend on its unix socket."""

    def setUp(self) -> None:
        super().setUp()
        self.server = self.pair("http-connect", "uds").proxy

    def test_curl_without_connect(self) -> None:
        """curl over the socket gets 405 for a plain request, twice on one connection."""
        url = "http://anything/"
        done = curl(
            "--unix-socket", self.server.uds, "-w", "%{http_code} %{num_connects}", url, url
        )
        body = b"this proxy only supports CONNECT passthrough\n"
        self.assertEqual(done.stdout, body + b"405 1" + body + b"405 0", done.stderr)

    def test_connect_over_the_socket(self) -> None:
        """A request by hand: 200, an empty head, and then the destination's own answer."""
        client = ConnectClient(self, self.server, self.destination["http"])
        answer = client.response()
        self.assertEqual((answer.status, answer.reason), (200, "Connection Established"))
        self.assertEqual(answer.getheaders(), [])
        client.send(b"GET /success HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(GREETING, client.receive_to_end())


class Http2Tests(InteropTestCase):
    """curl's HTTP/2 (nghttp2) against the gRPC frontend: a client of HTTP/2, not of gRPC."""

    def ask(self, path: str, *flags: str) -> str:
        """The response head that curl got, over the unix socket with prior knowledge."""
        # An answer that does not wait for the request's body is followed by RST_STREAM(NO_ERROR),
        # as RFC 9113 section 8.1 has it. Some versions of curl call that an error (92) if they see
        # it before they have sent the body: mostly they have printed the answer all the same, and
        # on a busy machine they may not have come to that.
        for _ in range(5):
            done = curl(
                *("--unix-socket", self.pair("grpc", "uds").proxy.uds),
                *("--http2-prior-knowledge", "-D", "-", "-o", "/dev/null"),
                *flags,
                f"http://konnect{path}",
            )
            self.assertIn(done.returncode, (0, 92), done.stderr)
            if done.stdout or done.returncode == 0:
                break
        return done.stdout.decode().lower()

    def test_unknown_method(self) -> None:
        """A method that nobody serves is answered with gRPC's status 12 in the head."""
        head = self.ask("/Nobody/Home", "-H", "content-type: application/grpc", "-d", "")
        self.assertIn("http/2 200", head)
        self.assertIn("grpc-status: 12", head)

    def test_no_grpc(self) -> None:
        """Requests that are no gRPC calls are refused with an HTTP status."""
        self.assertIn("http/2 415", self.ask("/ProxyService/Proxy", "-d", "hello"))
        self.assertRegex(self.ask("/ProxyService/Proxy"), "http/2 4(05|15)")


class ByHandTests(InteropTestCase):
    """Requests curl would not make, over both transports."""

    def proxies(self) -> list[Proxy]:
        return [self.pair("http-connect", transport).proxy for transport in TRANSPORTS]

    def test_http_1_0(self) -> None:
        """An HTTP/1.0 CONNECT without a Host header is served."""
        for proxy in self.proxies():
            with frontend_socket(proxy) as raw:
                raw.sendall(f"CONNECT {self.destination['echo']} HTTP/1.0\r\n\r\n".encode())
                head = raw.recv(65536)
                self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
                self.assertTrue(head.endswith(b"\r\n\r\n"), head)
                raw.sendall(b"ping")
                self.assertEqual(raw.recv(4), b"ping")

    def test_head_byte_by_byte(self) -> None:
        """A request that comes one byte at a time is served."""
        for proxy in self.proxies():
            with frontend_socket(proxy) as raw:
                request = f"CONNECT {self.destination['echo']} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
                for byte in request.encode():
                    raw.sendall(bytes([byte]))
                self.assertTrue(raw.recv(65536).startswith(b"HTTP/1.1 200 "))

    def test_destination_speaks_first(self) -> None:
        """The 200 line comes first, and alone: kube-apiserver fails if more is buffered.

        A test on a busy machine may read too late to see the two apart, hence the tolerance.
        """
        head = b"HTTP/1.1 200 Connection Established\r\n\r\n"
        for proxy in self.proxies():
            alone = 0
            for _ in range(20):
                client = ConnectClient(self, proxy, self.destination["banner"])
                first = client.receive_segment()
                alone += first == head
                rest = client.receive(len(head) + len(BANNER) - len(first))
                self.assertEqual(first + rest, head + BANNER)
                client.close()
            self.assertGreater(alone, 15)

    def test_error_has_a_length(self) -> None:
        """An error names the reason, with a Content-Length, and the connection ends."""
        for proxy in self.proxies():
            client = ConnectClient(self, proxy, "127.0.0.1:1")
            answer = client.response()
            body = b"dial tcp 127.0.0.1:1: connect: connection refused"
            self.assertEqual(answer.status, 502)
            self.assertEqual(answer.getheader("Content-Length"), str(len(body)))
            self.assertEqual(answer.read(), body)
            self.assertEqual(client.receive_to_end(), b"")

    def test_destination_finishes(self) -> None:
        """The end of the destination's bytes is the end of the client's."""
        for proxy in self.proxies():
            client = ConnectClient(self, proxy, self.destination["http"])
            self.assertEqual(client.response().status, 200)
            client.send(b"GET /bytes/700000 HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertTrue(client.receive_to_end().endswith(pattern(700_000)))
