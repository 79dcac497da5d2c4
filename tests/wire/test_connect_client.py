"""The client's side of HTTP CONNECT."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.connect import (
    ESTABLISHED,
    MAX_HEAD,
    ConnectRequest,
    HeadReader,
    error_response,
)
from konnect.wire.connect_client import (
    MAX_BODY,
    MAX_INTERIM,
    BadResponse,
    ConnectResponse,
    RefusalBody,
    ResponseReader,
    request,
)


class RequestTests(SynchronousTestCase):
    """Requests of ours."""

    def test_bytes(self) -> None:
        """The request is the one that kube-apiserver sends."""
        self.assertEqual(request("foo:80"), b"CONNECT foo:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        self.assertEqual(
            request("foo:80", host="foo", user_agent="konnect/1"),
            b"CONNECT foo:80 HTTP/1.1\r\nHost: foo\r\nUser-Agent: konnect/1\r\n\r\n",
        )

    def test_our_proxy_reads_it(self) -> None:
        """Whatever address can be asked for arrives as it was."""
        for address in ("foo:80", "[::1]:443", "[fe80::1%eth0.1]:443", "föö:1", "1.2.3.4:5"):
            outcome = HeadReader().receive(request(address))
            assert isinstance(outcome, ConnectRequest), outcome
            self.assertEqual(outcome.address, address)

    def test_unfit_addresses(self) -> None:
        """What would be read as something else is refused here."""
        for address in ("", "a b:80", "a\r\nX: y", "a:80/x", "u@a:80", "a:80?x", "a:80#x", "\x00"):
            self.assertRaises(ValueError, request, address)
        self.assertRaises(ValueError, request, "a:80", host="a\r\nX: y")
        self.assertRaises(ValueError, request, "a:80", user_agent="a\nb")


class ResponseTests(SynchronousTestCase):
    """Answers, ours and others'."""

    def read(self, data: bytes, size: int = MAX_HEAD) -> ConnectResponse:
        """The answer in `data`, given in pieces of `size`."""
        reader = ResponseReader()
        for start in range(0, len(data), size):
            response = reader.receive(data[start : start + size])
            if response is not None:
                return response
        raise AssertionError("no answer")

    def test_established(self) -> None:
        """Our 200 is an open tunnel, and what follows is the tunnel's."""
        response = self.read(ESTABLISHED + b"220 hello\r\n")
        self.assertEqual(
            response, ConnectResponse(200, "Connection Established", (), b"220 hello\r\n")
        )
        self.assertTrue(response.established)

    def test_other_proxies(self) -> None:
        """HTTP/1.0, no reason, bare LF, headers and any 2xx are an open tunnel as well."""
        for data in (
            b"HTTP/1.0 200 Connection established\r\nProxy-Agent: x\r\n\r\n",
            b"HTTP/1.1 200\r\n\r\n",
            b"HTTP/1.1 200 \n\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
        ):
            self.assertTrue(self.read(data).established, data)

    def test_interim(self) -> None:
        """Interim answers are skipped, in whatever pieces they come."""
        data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\n" + ESTABLISHED
        for size in (1, 7, 30, 1000):
            self.assertEqual(self.read(data, size).status, 200, size)

    def test_interim_without_end(self) -> None:
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        reader = ResponseReader()
        reader.receive(interim * MAX_INTERIM)
        with self.assertRaises(BadResponse):
            reader.receive(interim)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.integers(0, 400), max_size=6))
    def test_any_split(self, cuts: list[int]) -> None:
        """A refusal is the same for any split, its body included."""
        data = error_response(502, "dial tcp 127.0.0.1:1: connect: connection refused")
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        reader, body = ResponseReader(), None
        for a, b in pairwise(edges):
            if body is not None:
                body.receive(data[a:b])
                continue
            response = reader.receive(data[a:b])
            if response is not None:
                self.assertEqual((response.status, response.reason), (502, "Bad Gateway"))
                body = RefusalBody(response)
        assert body is not None
        self.assertTrue(body.complete)
        self.assertEqual(body.text, "dial tcp 127.0.0.1:1: connect: connection refused")

    def test_bad_answers(self) -> None:
        """What is no answer is named at once."""
        for data, words in (
            (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "HTTP/2"),
            (b"SSH-2.0-x\r\n", "begins with b'SSH-2.0-x"),
            (b"HTTP/2.0 200 OK\r\n\r\n", "begins with b'HTTP/2.0"),
            (b"HTTP/1.1 20 OK\r\n\r\n", "malformed status line"),
            (b"HTTP/1.1 200 a\x00b\r\n\r\n", "malformed status line"),
            (b"HTTP/1.1 200 OK\r\nbad\r\n\r\n", "header line without a colon"),
            (b"HTTP/1.1 200 OK\r\nA: " + b"a" * MAX_HEAD, "longer than"),
        ):
            error = self.assertRaises(BadResponse, ResponseReader().receive, data)
            self.assertIn(words, str(error))

    def test_ended(self) -> None:
        """An end before the answer says whether anything had come."""
        reader = ResponseReader()
        self.assertIn("without an answer", str(reader.ended()))
        reader.receive(b"HTTP/1.1 2")
        self.assertIn("after 10 bytes", str(reader.ended()))


class RefusalBodyTests(SynchronousTestCase):
    """The bodies of refusals."""

    def body(self, headers: dict[str, str], rest: bytes = b"") -> RefusalBody:
        """A collector for such an answer."""
        return RefusalBody(ConnectResponse(502, "", tuple(headers.items()), rest))

    def test_without_length(self) -> None:
        """Without a length the body ends with the connection, as stock proxies do it."""
        body = self.body({}, b"dial tcp: ")
        self.assertFalse(body.receive(b"missing address\r\n"))
        self.assertEqual(body.text, "dial tcp: missing address")

    def test_lengths(self) -> None:
        """What is behind the end is dropped; a length that is none does not count."""
        self.assertTrue(self.body({"content-length": "0"}).complete)
        body = self.body({"content-length": "3"}, b"abcdef")
        self.assertEqual((body.complete, body.text), (True, "abc"))
        self.assertFalse(self.body({"content-length": "-1"}).complete)

    def test_limit(self) -> None:
        """A body is kept up to its limit, also when it says that it is longer."""
        body = self.body({"content-length": "9" * 5000})
        self.assertFalse(body.receive(b"a" * (MAX_BODY - 1)))
        self.assertTrue(body.receive(b"bcd"))
        self.assertEqual(len(body.text), MAX_BODY)
