"""Tests of konnect.wire.reactions: how streams end, by resets and by the server's answer."""

from __future__ import annotations

from hyperframe.frame import (
    DataFrame,
    RstStreamFrame,
    WindowUpdateFrame,
)
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.events import (
    HeadersReceived,
    MessageReceived,
    StreamEnded,
)
from konnect.wire.framing import prefix
from konnect.wire.status import ErrorCode, Status
from tests.wire.pump import PATH, data, of_kind, only
from tests.wire.raw_peers import Client, Server, message, reset


class ResetTests(SynchronousTestCase):
    def test_by_the_client(self) -> None:
        """A client's reset ends the stream once; what follows means nothing."""
        peer = Client()
        peer.send(peer.headers(1))
        events = peer.send(data(1, prefix(100) + b"x"), reset(1, ErrorCode.CANCEL))
        self.assertEqual(
            [(e.stream_id, e.status, e.reset) for e in only(events, StreamEnded)],
            [(1, Status.CANCELLED, True)],
        )
        self.assertEqual(peer.send(reset(1, ErrorCode.CANCEL)), [])
        self.assertEqual(peer.wire.live_streams, 0)

    def test_with_output_queued(self) -> None:
        """A reset drops what waits for the window; calls for the stream do nothing any more."""
        peer = Client()
        peer.send(peer.headers(1))
        peer.wire.send_message(1, b"x" * 200_000)
        peer.read()
        self.assertEqual(len(peer.send(reset(1, ErrorCode.CANCEL))), 1)
        peer.wire.send_message(1, b"x")
        peer.wire.send_headers(1)
        peer.wire.acknowledge(1, 1 << 20)
        peer.wire.end_stream(1)
        peer.wire.reset_stream(1)
        peer.send(WindowUpdateFrame(0, window_increment=1 << 20))
        self.assertEqual(peer.read(), [])
        self.assertEqual(peer.wire.queued(1), 0)

    def test_before_our_trailers(self) -> None:
        """A client that resets before the server's trailers are out is reported, after that not."""
        peer = Client()
        peer.send(peer.headers(1), peer.headers(3))
        peer.wire.send_message(1, b"x" * 100_000)
        peer.wire.end_stream(1)
        peer.wire.end_stream(3)
        peer.read()
        events = peer.send(reset(1, ErrorCode.CANCEL), reset(3, ErrorCode.CANCEL))
        self.assertEqual([e.stream_id for e in only(events, StreamEnded)], [1])

    def test_after_a_refusal(self) -> None:
        """A stream whose end has been told is not told again when the client resets it."""
        peer = Client()
        peer.send(peer.headers(1))
        peer.wire.send_message(1, b"x" * 100_000)
        peer.read()
        self.assertEqual(len(only(peer.send(data(1, prefix(2**32 - 1))), StreamEnded)), 1)
        self.assertEqual(peer.wire.live_streams, 1)
        self.assertEqual(peer.send(data(1, message(b"x")), reset(1, ErrorCode.CANCEL)), [])
        self.assertEqual(peer.wire.live_streams, 0)

    def test_ours_and_theirs_cross(self) -> None:
        """Frames that were under way when we reset do no harm and are not told."""
        peer = Client()
        peer.send(peer.headers(1), peer.headers(3))
        peer.wire.reset_stream(1)
        peer.read()
        self.assertEqual(peer.send(data(1, message(b"x")), reset(1, 8)), [])
        self.assertEqual(
            peer.send(WindowUpdateFrame(1, window_increment=5), data(3, message(b"y"))),
            [MessageReceived(3, b"y", 6)],
        )

    def test_client_reset_and_late_answer(self) -> None:
        """An answer to a stream that the client has reset is not told, nor taken for an error."""
        peer = Server(streams=2)
        peer.wire.reset_stream(1)
        peer.wire.open_stream(PATH, (), authority="a", scheme="http")
        peer.read()
        events = peer.send(
            peer.headers(1, peer.RESPONSE),
            data(1, message(b"x")),
            peer.headers(1, peer.TRAILERS, "END_STREAM"),
            peer.headers(3, peer.RESPONSE),
        )
        self.assertEqual(events, [HeadersReceived(3, ())])

    def test_codes(self) -> None:
        """The status that a reset stands for is gRPC's."""
        for code, status in (
            (ErrorCode.REFUSED_STREAM, Status.UNAVAILABLE),
            (ErrorCode.INTERNAL_ERROR, Status.INTERNAL),
            (0xABCDEF, Status.INTERNAL),
        ):
            event = Server().ended(reset(1, code))
            self.assertEqual((event.status, event.reset), (status, True))


class ResponseTests(SynchronousTestCase):
    def test_normal(self) -> None:
        """Headers, messages and trailers; then the client's half is closed too."""
        peer = Server()
        events = peer.send(
            peer.headers(1, (*peer.RESPONSE, (b"serverid", b"s"))),
            data(1, message(b"x")),
            peer.headers(1, ((b"grpc-status", b"5"), (b"grpc-message", b"no%21")), "END_STREAM"),
        )
        self.assertEqual(
            events,
            [
                HeadersReceived(1, (("serverid", "s"),)),
                MessageReceived(1, b"x", 6),
                StreamEnded(1, Status.NOT_FOUND, "no!", False),
            ],
        )
        (frame,) = of_kind(peer.read(), RstStreamFrame)
        self.assertEqual(frame.error_code, ErrorCode.NO_ERROR)

    def test_after_a_half_close(self) -> None:
        """When both sides have ended, no reset is needed."""
        peer = Server()
        peer.wire.send_message(1, b"x")
        peer.wire.end_stream(1)
        sent = of_kind(peer.read(), DataFrame)
        self.assertIn("END_STREAM", sent[-1].flags)
        peer.send(peer.headers(1, peer.RESPONSE))
        event = peer.ended(peer.headers(1, peer.TRAILERS, "END_STREAM"))
        self.assertEqual(event.status, Status.OK)
        self.assertEqual(peer.read(), [])

    def test_server_ends_while_output_waits(self) -> None:
        """Trailers end the stream though the client has more to send, or half-closed behind it."""
        for half_closed in (False, True):
            peer = Server()
            peer.wire.send_message(1, b"x" * 100_000)
            if half_closed:
                peer.wire.end_stream(1)
            peer.read()
            block = (*peer.RESPONSE, (b"grpc-status", b"2"))
            self.assertEqual(
                peer.ended(peer.headers(1, block, "END_STREAM")).status, Status.UNKNOWN
            )
            self.assertEqual([type(f) for f in peer.read()], [RstStreamFrame])

    def test_informational(self) -> None:
        """A 1xx answer is not the answer."""
        peer = Server()
        events = peer.send(peer.headers(1, ((b":status", b"103"),)), peer.headers(1, peer.RESPONSE))
        self.assertEqual(events, [HeadersReceived(1, ())])

    def test_plain_http(self) -> None:
        """An HTTP answer ends the stream, and its body is not waited for."""
        peer = Server()
        event = peer.ended(peer.headers(1, ((b":status", b"502"), (b"content-type", b"text/html"))))
        self.assertEqual((event.status, event.reset), (Status.UNAVAILABLE, False))
        (frame,) = of_kind(peer.read(), RstStreamFrame)
        self.assertEqual(frame.error_code, ErrorCode.CANCEL)
        self.assertEqual(peer.send(data(1, b"<html>", "END_STREAM")), [])

    def test_no_trailers(self) -> None:
        """A stream that ends with DATA has no status."""
        peer = Server()
        event = peer.ended(peer.headers(1, peer.RESPONSE), data(1, message(b"x"), "END_STREAM"))
        self.assertEqual(event.status, Status.INTERNAL)
        self.assertIn("without sending trailers", event.message)

    def test_within_a_message(self) -> None:
        """OK is not believed when a message is cut in two; another status is."""
        for status, expected in ((b"0", Status.INTERNAL), (b"14", Status.UNAVAILABLE)):
            peer = Server()
            event = peer.ended(
                peer.headers(1, peer.RESPONSE),
                data(1, prefix(5) + b"abc"),
                peer.headers(1, ((b"grpc-status", status),), "END_STREAM"),
            )
            self.assertEqual(event.status, expected)

    def test_malformed(self) -> None:
        """Malformed headers and trailers end the stream and not the connection."""
        peer = Server(streams=4)
        bad = (b"A", b"x")
        for stream_id, frames in (
            (1, [peer.headers(1, (*peer.RESPONSE, bad))]),
            (3, [peer.headers(3, (*peer.RESPONSE, bad), "END_STREAM")]),
            (5, [peer.headers(5, peer.RESPONSE), peer.headers(5, (bad,), "END_STREAM")]),
        ):
            event = peer.ended(*frames)
            self.assertEqual((event.stream_id, event.status), (stream_id, Status.INTERNAL))
        self.assertEqual(peer.wire.live_streams, 1)
        self.assertFalse(peer.wire.closed)
