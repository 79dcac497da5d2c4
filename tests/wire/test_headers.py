"""Tests of konnect.wire.headers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.wire import headers
from konnect.wire.headers import Ending, MalformedHeaders, Refusal, Request, Response
from konnect.wire.status import Status

Block = tuple[tuple[bytes, bytes], ...]

REQUEST: Block = (
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":path", b"/a/b"),
    (b":authority", b"host:1"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
)
RESPONSE: Block = ((b":status", b"200"), (b"content-type", b"application/grpc"))


def replaced(block: Block, name: bytes, value: bytes | None) -> Block:
    """`block` with another value for one name, or without it."""
    return tuple(
        (n, v if n != name else value or b"") for n, v in block if n != name or value is not None
    )


class RequestTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        """What a client writes, a server reads, repeated keys and odd bytes included."""
        metadata = (("agentid", "ü"), ("x", "1"), ("x", ""), ("raw", "\udcff"))
        block = headers.request("/a/b", "host:1", "https", metadata)
        self.assertEqual(block[:6], list(REQUEST))
        self.assertEqual(headers.read_request(block), Request("/a/b", "host:1", metadata, ""))

    def test_any_authority(self) -> None:
        """An authority may be a percent-encoded path, empty, or missing."""
        for value, text in ((b"%2Frun%2Fk.sock", "%2Frun%2Fk.sock"), (b"", ""), (None, "")):
            request = headers.read_request(replaced(REQUEST, b":authority", value))
            assert isinstance(request, Request)
            self.assertEqual(request.authority, text)

    def test_values_may_end_with_a_space(self) -> None:
        """Stock agents with an empty token send a value that ends with a space."""
        request = headers.read_request((*REQUEST, (b"authorization", b"Bearer ")))
        assert isinstance(request, Request)
        self.assertEqual(request.metadata, (("authorization", "Bearer "),))

    def test_content_types(self) -> None:
        """gRPC's content type may carry a subtype or parameters; others are answered with 415."""
        for good in (b"application/grpc+proto", b"application/grpc;x=y", b"application/GRPC"):
            request = headers.read_request(replaced(REQUEST, b"content-type", good))
            self.assertIsInstance(request, Request, good)
        for bad in (b"application/json", b"application/grpc-web", b"", None):
            refusal = headers.read_request(replaced(REQUEST, b"content-type", bad))
            assert isinstance(refusal, Refusal)
            self.assertEqual(refusal.http_status, 415)

    def test_methods(self) -> None:
        """Methods other than POST are answered with 405."""
        for method in (b"GET", b"post", b"OPTIONS"):
            refusal = headers.read_request(replaced(REQUEST, b":method", method))
            assert isinstance(refusal, Refusal)
            self.assertEqual(refusal.http_status, 405)

    def test_malformed(self) -> None:
        """What RFC 9113 section 8 forbids is malformed."""
        for block in (
            replaced(REQUEST, b":path", None),
            replaced(REQUEST, b":path", b""),
            replaced(REQUEST, b":method", None),
            replaced(REQUEST, b":scheme", None),
            replaced(REQUEST, b"te", b"gzip"),
            (*REQUEST, (b":path", b"/late")),
            (REQUEST[0], *REQUEST),
            ((b":status", b"200"), *REQUEST),
            ((b":made-up", b"x"), *REQUEST),
            (*REQUEST, (b"Upper", b"x")),
            (*REQUEST, (b"", b"x")),
            (*REQUEST, (b"a b", b"x")),
            (*REQUEST, (b"a\xff", b"x")),
            (*REQUEST, (b"a:b", b"x")),
            (*REQUEST, (b"a", b"x\r\ny: z")),
            (*REQUEST, (b"a", b"\0")),
            (*REQUEST, (b"connection", b"close")),
            (*REQUEST, (b"transfer-encoding", b"chunked")),
        ):
            with self.assertRaises(MalformedHeaders, msg=repr(block)):
                headers.read_request(block)

    def test_illegal_metadata_is_not_sent(self) -> None:
        """Metadata that would break the header block is refused here."""
        for bad in (
            ("A", "x"),
            ("", "x"),
            (":path", "x"),
            ("a b", "x"),
            ("a", "x\ny"),
            ("a", "\0"),
        ):
            with self.assertRaises(ValueError, msg=repr(bad)):
                headers.request("/a/b", "h", "http", (bad,))
            with self.assertRaises(ValueError, msg=repr(bad)):
                headers.response((bad,))


class ResponseTests(SynchronousTestCase):
    def test_beginning(self) -> None:
        """A gRPC response begins with metadata."""
        block = headers.response((("serverid", "s"),))
        self.assertEqual(block[:2], list(RESPONSE))
        self.assertEqual(
            headers.read_response(block, ended=False), Response((("serverid", "s"),), "")
        )

    def test_encoding(self) -> None:
        """The encoding that the server announces is kept."""
        block = (*RESPONSE, (b"grpc-encoding", b"gzip"))
        self.assertEqual(headers.read_response(block, ended=False), Response((), "gzip"))

    def test_trailers_only(self) -> None:
        """One block may be the whole answer."""
        block = [*RESPONSE, *headers.trailers(Status.ABORTED, "no\n")]
        self.assertEqual(
            headers.read_response(block, ended=True),
            Ending(Status.ABORTED, "no\n"),
        )

    def test_plain_http(self) -> None:
        """An answer of something that is no gRPC server maps by its HTTP status."""
        html = (b"content-type", b"text/html")
        for status, expected in ((b"404", Status.UNIMPLEMENTED), (b"503", Status.UNAVAILABLE)):
            ending = headers.read_response(((b":status", status), html), ended=False)
            assert isinstance(ending, Ending)
            self.assertEqual(ending.status, expected)
            self.assertIn(status.decode(), ending.message)
        ending = headers.read_response(((b":status", b"200"), html), ended=False)
        assert isinstance(ending, Ending)
        self.assertEqual(ending.status, Status.UNKNOWN)
        self.assertIn("text/html", ending.message)

    def test_grpc_status_goes_before_http_status(self) -> None:
        """A gRPC server that refuses with an HTTP status says the gRPC one as well."""
        block = ((b":status", b"415"), (b"grpc-status", b"3"), (b"grpc-message", b"bad type"))
        self.assertEqual(
            headers.read_response(block, ended=True),
            Ending(Status.INVALID_ARGUMENT, "bad type"),
        )

    def test_no_status(self) -> None:
        """An end without a grpc-status is UNKNOWN."""
        for ending in (
            headers.read_trailers(((b"k", b"v"),)),
            headers.read_response(RESPONSE, ended=True),
        ):
            assert isinstance(ending, Ending)
            self.assertEqual(ending.status, Status.UNKNOWN)
            self.assertIn("no grpc-status", ending.message)

    def test_malformed(self) -> None:
        """A response has one numeric :status, trailers have none."""
        for block in ((), ((b":status", b"abc"),), ((b":status", b"20"),), REQUEST):
            with self.assertRaises(MalformedHeaders):
                headers.read_response(block, ended=False)
        with self.assertRaises(MalformedHeaders):
            headers.read_trailers(((b":status", b"200"), (b"grpc-status", b"0")))
