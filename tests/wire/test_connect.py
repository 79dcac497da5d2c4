"""The proxy's side of HTTP CONNECT: requests, refusals, and what comes behind them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.connect import (
    ConnectRequest,
    HeadReader,
    Refused,
    _judge_whole,
    error_response,
)

Outcome = ConnectRequest | Refused | None


def read(*pieces: bytes) -> Outcome:
    """The outcome of a new reader for these pieces; what comes after the outcome is not given."""
    reader = HeadReader()
    for piece in pieces:
        outcome = reader.receive(piece)
        if outcome is not None:
            return outcome
    return None


class Heads(SynchronousTestCase):
    """Base: outcomes by kind."""

    def request(self, data: bytes) -> ConnectRequest:
        """`data` is a request."""
        outcome = read(data)
        assert isinstance(outcome, ConnectRequest), outcome
        return outcome

    def refused(self, data: bytes, status: int, why: str | None = None) -> Refused:
        """`data` is refused with `status`, and for good unless the test says otherwise."""
        outcome = read(data)
        assert isinstance(outcome, Refused), (data[:80], outcome)
        self.assertEqual(outcome.response.split(b" ")[1], b"%d" % status, data[:80])
        if why is not None:
            self.assertEqual(outcome.why, why)
        return outcome


class RequestTests(Heads):
    """What is a request."""

    def test_curl(self) -> None:
        """A request as curl sends it is read whole."""
        request = self.request(
            b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n"
            b"User-Agent: curl/8.5\r\nProxy-Connection: Keep-Alive\r\n\r\n"
        )
        self.assertEqual(
            request,
            ConnectRequest(
                address="example.org:443",
                headers=(
                    ("host", "example.org:443"),
                    ("user-agent", "curl/8.5"),
                    ("proxy-connection", "Keep-Alive"),
                ),
                user_agent="curl/8.5",
                version="HTTP/1.1",
                early=b"",
            ),
        )

    def test_kube_apiserver(self) -> None:
        """The Host header of a request with an authority is ignored: kube-apiserver sends any."""
        request = self.request(b"CONNECT 10.0.0.7:10250 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        self.assertEqual(request.address, "10.0.0.7:10250")

    def test_no_headers(self) -> None:
        """CONNECT needs no Host header."""
        self.assertEqual(self.request(b"CONNECT foo:80 HTTP/1.1\r\n\r\n").headers, ())

    def test_early_bytes(self) -> None:
        """What follows the head, be it what it may, is kept as the tunnel's first bytes."""
        early = b"\r\n\r\nGET / HTTP/1.1\r\n\r\n\x00\xff"
        request = self.request(b"CONNECT foo:80 HTTP/1.1\r\n\r\n" + early)
        self.assertEqual(request.early, early)

    def test_versions(self) -> None:
        """Every HTTP/1 version is served."""
        for version in ("HTTP/1.0", "HTTP/1.1", "HTTP/1.2"):
            request = self.request(f"CONNECT foo:80 {version}\r\n\r\n".encode())
            self.assertEqual(request.version, version)

    def test_bare_line_feeds(self) -> None:
        """Lines may end in a bare LF, also some of them."""
        for head in (
            b"CONNECT foo:80 HTTP/1.1\n\n",
            b"CONNECT foo:80 HTTP/1.1\nHost: a\r\n\n",
            b"CONNECT foo:80 HTTP/1.1\r\nHost: a\n\r\n",
        ):
            self.assertEqual(self.request(head + b"early").early, b"early", head)

    def test_user_agent(self) -> None:
        """The user agent is the first such header, without white space around it, folds joined."""
        request = self.request(
            b"CONNECT foo:80 HTTP/1.1\r\nUSER-agent: \t one \r\n\t two\r\nUser-Agent: b\r\n\r\n"
        )
        self.assertEqual(request.user_agent, "one two")

    def test_announced_bodies(self) -> None:
        """A body that a CONNECT announces is the tunnel's, whatever is said of its length."""
        for header in (
            b"Content-Length: 2",
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: Chunked\r\nContent-Length: 4",
        ):
            request = self.request(b"CONNECT foo:80 HTTP/1.1\r\n" + header + b"\r\n\r\n5\r\nhello")
            self.assertEqual(request.early, b"5\r\nhello", header)

    def test_one_outcome(self) -> None:
        """A reader that is given more after its outcome says so, rather than losing the bytes."""
        reader = HeadReader()
        reader.receive(b"CONNECT foo:80 HTTP/1.1\r\n\r\n")
        self.assertRaises(RuntimeError, reader.receive, b"more")


class RefusalTests(Heads):
    """What is no request, and what is said about it."""

    def test_request_lines(self) -> None:
        """A malformed request line is 400, as soon as the line is there."""
        for line in (
            b"",
            b"hello",
            b"CONNECT foo:80",
            b"CONNECT  foo:80 HTTP/1.1",
            b"CONNECT foo:80  HTTP/1.1",
            b"CONNECT foo:80 HTTP/1.1 ",
            b"CONNECT foo:80 HTTP/1.1\r",
            b"CONNECT foo:80 HTTP/1",
            b"CONNECT foo:80 HTTP/1.10",
            b"CONNECT foo:80 http/1.1",
            b"CON(NECT foo:80 HTTP/1.1",
            b"CONNECT fo\x00o:80 HTTP/1.1",
            b"CONNECT fo\to:80 HTTP/1.1",
            b"CONNECT fo\x7fo:80 HTTP/1.1",
        ):
            self.refused(line + b"\r\n", 400)

    def test_other_versions(self) -> None:
        """Versions that are not 1.x are 505."""
        for version in (b"HTTP/0.9", b"HTTP/2.0", b"HTTP/3.0"):
            self.refused(b"CONNECT foo:80 " + version + b"\r\n", 505)

    def test_header_lines(self) -> None:
        """Malformed header lines are 400."""
        for line in (
            b"no colon",
            b": nameless",
            b"A : space before the colon",
            b" folded: first",
            b"A(: b",
            b"A\x00: b",
            b"A: b\x00c",
            b"A: b\rc",
            b"A: b\x7f",
            b"\xff: b",
            b"Host: a\r\nHost: a",
            b"Host: a b",
            b"Host: a/b",
            b"Host: a@b",
            b"Content-Length: -5",
            b"Content-Length: 5\r\nContent-Length: 6",
            b"Content-Length: five",
            b"Content-Length: 5, 5",
        ):
            self.refused(b"CONNECT foo:80 HTTP/1.1\r\n" + line + b"\r\n\r\n", 400)

    def test_transfer_encodings(self) -> None:
        """Transfer encodings other than chunked are 501, also hidden ones."""
        for value in (b"gzip", b"gzip, chunked", b"chunked\r\nTransfer-Encoding: chunked", b""):
            head = b"CONNECT foo:80 HTTP/1.1\r\nTransfer-Encoding: " + value + b"\r\n\r\n"
            self.refused(head, 501)

    def test_refusals_end_the_connection(self) -> None:
        """A refusal has a length and says that it is the last; nothing behind it is looked at."""
        refused = self.refused(b"CONNECT foo:80 HTTP/1.1\r\nx\r\n\r\nCONNECT a:1 HTTP/1.1", 400)
        head, _, body = refused.response.partition(b"\r\n\r\n")
        self.assertEqual(body, b"400 Bad Request: header line without a colon\n")
        self.assertEqual(
            head.split(b"\r\n"),
            [
                b"HTTP/1.1 400 Bad Request",
                b"Content-Type: text/plain; charset=utf-8",
                b"X-Content-Type-Options: nosniff",
                b"Content-Length: %d" % len(body),
                b"Connection: close",
            ],
        )
        self.assertFalse(refused.keep_alive)
        self.assertEqual(refused.rest, b"")

    def test_again(self) -> None:
        """A head that was read before is read as it was, and what is behind it is read anew."""
        head = b"CONNECT again:80 HTTP/1.1\r\nHost: again:80\r\n\r\n"
        _judge_whole.cache_clear()
        for early in (b"", b"", b"a\r\n\r\n", b"b\r\n\r\n", b""):
            outcome = HeadReader().receive(head + early)
            assert isinstance(outcome, ConnectRequest)
            self.assertEqual((outcome.address, outcome.early), ("again:80", early))
        for wrong in (b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n"):
            first, second = HeadReader().receive(wrong), HeadReader().receive(wrong)
            assert isinstance(first, Refused)
            self.assertEqual(first, second)
        self.assertEqual(_judge_whole.cache_info().currsize, 3)

    def test_tls(self) -> None:
        """A TLS ClientHello is named after two bytes, and not before."""
        reader = HeadReader()
        self.assertIs(reader.receive(b"\x16"), None)
        outcome = reader.receive(b"\x03")
        assert isinstance(outcome, Refused)
        self.assertEqual(outcome.why, "TLS was spoken to a plain port")
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256))
        self.refused(hello, 400, "TLS was spoken to a plain port")

    def test_http2(self) -> None:
        """An HTTP/2 preface is named, which is what a gRPC client sends."""
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        self.refused(preface, 505, "HTTP/2 (gRPC) was spoken to an HTTP CONNECT port")

    def test_socks(self) -> None:
        """SOCKS is named."""
        for start in (b"\x05\x01\x00", b"\x04\x01\x00\x50"):
            self.refused(start, 400, "SOCKS was spoken to an HTTP CONNECT port")

    def test_binary(self) -> None:
        """Binary garbage is refused at its first byte, which is quoted."""
        self.refused(b"\x00", 400, r"not HTTP: it begins with b'\x00'")
        self.refused(b"\x16\x04", 400, r"not HTTP: it begins with b'\x16'")
        self.refused(b"\xff\xff", 400, r"not HTTP: it begins with b'\xff'")

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200))
    def test_garbage(self, data: bytes) -> None:
        """Nothing that a peer may send raises, and no refusal carries its bytes to the log."""
        outcome = read(data)
        if isinstance(outcome, Refused):
            self.assertTrue(outcome.response.startswith(b"HTTP/1.1 "))
            self.assertTrue(outcome.why.isprintable())


class OtherMethodTests(Heads):
    """Requests that are no CONNECT."""

    def test_405(self) -> None:
        """Another method is 405 with upstream's body, and the connection goes on."""
        follower = b"CONNECT foo:80 HTTP/1.1\r\n\r\nearly"
        refused = self.refused(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + follower, 405)
        head, _, body = refused.response.partition(b"\r\n\r\n")
        self.assertEqual(body, b"this proxy only supports CONNECT passthrough\n")
        self.assertIn(b"Content-Length: 45", head.split(b"\r\n"))
        self.assertIn(b"Allow: CONNECT", head.split(b"\r\n"))
        self.assertNotIn(b"Connection: close", head)
        self.assertTrue(refused.keep_alive)
        self.assertEqual(refused.why, "the method is GET, not CONNECT")
        self.assertEqual(self.request(refused.rest).early, b"early")

    def test_methods_have_a_case(self) -> None:
        """`connect` is not CONNECT."""
        self.refused(b"connect foo:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405)

    def test_last_one(self) -> None:
        """The connection ends with HTTP/1.0, `Connection: close`, or a body that nobody reads."""
        for head in (
            b"GET / HTTP/1.0\r\n\r\n",
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 33\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ):
            refused = self.refused(head + b"CONNECT smuggled:80 HTTP/1.1\r\n\r\n", 405)
            self.assertFalse(refused.keep_alive, head)
            self.assertEqual(refused.rest, b"", head)
            self.assertIn(b"\r\nConnection: close\r\n", refused.response, head)

    def test_empty_body(self) -> None:
        """A body of no bytes does not end the connection."""
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        self.assertTrue(self.refused(head, 405).keep_alive)

    def test_host_is_required(self) -> None:
        """HTTP/1.1 without a Host header is 400, unless it is CONNECT."""
        self.refused(b"GET / HTTP/1.1\r\n\r\n", 400, "missing required Host header")

    def test_head(self) -> None:
        """HEAD is answered with the length of the body, and without it."""
        refused = self.refused(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 405)
        self.assertIn(b"Content-Length: 45\r\n", refused.response)
        self.assertTrue(refused.response.endswith(b"\r\n\r\n"))


class ErrorResponseTests(SynchronousTestCase):
    """Answers that the frontend makes itself."""

    def test_lengths_are_bytes(self) -> None:
        """The length is that of the body's UTF-8, and what has no UTF-8 is replaced."""
        response = error_response(502, "ö\udc80", content_type="text/plain")
        self.assertEqual(
            response,
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\n"
            b"X-Content-Type-Options: nosniff\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
            b"\xc3\xb6?",
        )
