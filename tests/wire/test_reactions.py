"""Tests of konnect.wire.reactions: requests, messages and what concerns the whole connection."""

from __future__ import annotations

from hyperframe.frame import (
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    WindowUpdateFrame,
)
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.events import (
    GoingAway,
    HalfClosed,
    HeadersReceived,
    MessageReceived,
    Pinged,
    Ponged,
    StreamEnded,
    StreamOpened,
)
from konnect.wire.framing import prefix
from konnect.wire.grpc import Limits, StreamRefused
from konnect.wire.status import ErrorCode, Status
from tests.wire.pump import PATH, data, of_kind, only
from tests.wire.raw_peers import Client, Server, message

HALF_CLOSED = HalfClosed(1)


class RequestTests(SynchronousTestCase):
    def test_opened(self) -> None:
        """A gRPC request is reported with its path, whatever that is, metadata and authority."""
        peer = Client()
        block = (
            *peer.REQUEST[:2],
            (b":path", b"/any/thing"),
            (b":authority", b"%2Frun%2Fk.sock"),
            *peer.REQUEST[4:],
            (b"agentid", b"x"),
        )
        self.assertEqual(
            peer.send(peer.headers(1, block)),
            [StreamOpened(1, "/any/thing", (("agentid", "x"),), "%2Frun%2Fk.sock")],
        )

    def test_no_grpc(self) -> None:
        """What is no gRPC is answered here and not reported."""
        for name, value, status in (
            (b"content-type", b"text/plain", b"415"),
            (b":method", b"GET", b"405"),
        ):
            peer = Client()
            block = tuple((n, value if n == name else v) for n, v in peer.REQUEST)
            self.assertEqual(peer.send(peer.headers(1, block)), [])
            frames = [f for f in peer.read() if f.stream_id == 1]
            self.assertEqual([type(f) for f in frames], [HeadersFrame, RstStreamFrame])
            self.assertEqual(peer.fields(frames[0])[b":status"], status)
            self.assertIn("END_STREAM", frames[0].flags)
            self.assertEqual(peer.wire.live_streams, 0)
            self.assertEqual(peer.send(data(1, message(b"x"))), [])

    def test_no_grpc_and_no_body(self) -> None:
        """A refused request that is complete needs no RST_STREAM."""
        peer = Client()
        peer.send(peer.headers(1, (*peer.REQUEST[:5], (b"content-type", b"x")), "END_STREAM"))
        self.assertEqual([type(f) for f in peer.read() if f.stream_id == 1], [HeadersFrame])

    def test_malformed(self) -> None:
        """A malformed request costs its stream, not the connection."""
        peer = Client()
        self.assertEqual(peer.send(peer.headers(1, (*peer.REQUEST, (b"Bad", b"x")))), [])
        (frame,) = of_kind(peer.read(), RstStreamFrame)
        self.assertEqual((frame.stream_id, frame.error_code), (1, ErrorCode.PROTOCOL_ERROR))
        self.assertEqual(len(only(peer.send(peer.headers(3)), StreamOpened)), 1)


class MessageTests(SynchronousTestCase):
    def test_split_and_joined(self) -> None:
        """Messages may share a frame or be spread over several."""
        peer = Client()
        peer.send(peer.headers(1))
        whole = message(b"a") + message(b"") + message(b"bcd")
        events = peer.send(data(1, whole[:8]), data(1, whole[8:12]), data(1, whole[12:]))
        self.assertEqual(
            events,
            [
                MessageReceived(1, b"a", 6),
                MessageReceived(1, b"", 5),
                MessageReceived(1, b"bcd", 8),
            ],
        )

    def test_padding(self) -> None:
        """Padding is no part of a message and is given back by itself, for ever."""
        peer = Client(Limits(stream_window=65535, connection_window=65535))
        peer.send(peer.headers(1))
        for _ in range(2000):
            events = peer.send(data(1, message(b"x"), pad=255))
            self.assertEqual(events, [MessageReceived(1, b"x", 6)])
            peer.wire.acknowledge(1, 6)
        given = of_kind(peer.read(), WindowUpdateFrame)
        # 2000 * (6 + 255 + 1) bytes were sent; all but what waits to be worth a frame came back.
        for stream_id in (0, 1):
            total = sum(f.window_increment for f in given if f.stream_id == stream_id)
            self.assertGreater(total, 2000 * 262 - 65536 // 4)
            self.assertLessEqual(total, 2000 * 262)

    def test_acknowledged_in_bulk(self) -> None:
        """The window comes back in few and large pieces, and not by itself."""
        peer = Client(Limits(stream_window=100_000))
        peer.send(peer.headers(1))
        for _ in range(50):
            self.assertEqual(
                peer.send(data(1, message(b"x" * 995))), [MessageReceived(1, b"x" * 995, 1000)]
            )
        self.assertEqual(of_kind(peer.read(), WindowUpdateFrame), [])
        for _ in range(50):
            peer.wire.acknowledge(1, 1000)
        given = [f.window_increment for f in of_kind(peer.read(), WindowUpdateFrame)]
        self.assertEqual(given, [25_000, 25_000])

    def test_cost_of_a_large_message(self) -> None:
        """All but half a window of a large message is given back while it arrives."""
        peer = Client(Limits(stream_window=65536))
        peer.send(peer.headers(1))
        total = 5 + 200_000
        raw = message(b"x" * 200_000)
        events = [e for i in range(0, total, 16384) for e in peer.send(data(1, raw[i : i + 16384]))]
        (event,) = only(events, MessageReceived)
        self.assertEqual(event.cost, 32768)
        given = [f.window_increment for f in of_kind(peer.read(), WindowUpdateFrame)]
        self.assertLessEqual(total - 32768 - sum(given), 65536 // 4)
        self.assertGreaterEqual(min(given), 65536 // 4)

    def test_too_large(self) -> None:
        """A message above the limit ends its stream with grpc's words, and only that stream."""
        peer = Client()
        peer.send(peer.headers(1), peer.headers(3))
        text = "grpc: received message larger than max (4194305 vs. 4194304)"
        events = peer.send(data(1, message(b"ok") + prefix(4 * 1024 * 1024 + 1)))
        self.assertEqual(
            events,
            [
                MessageReceived(1, b"ok", 7),
                StreamEnded(1, Status.RESOURCE_EXHAUSTED, text, False),
            ],
        )
        answer = peer.answer()
        self.assertEqual(answer[b"grpc-status"], b"8")
        self.assertEqual(answer[b"grpc-message"], text.encode())
        self.assertEqual(len(peer.send(data(3, message(b"x")))), 1)

    def test_too_large_for_a_client(self) -> None:
        """A client resets a stream on which the server sent too much."""
        peer = Server()
        event = peer.ended(peer.headers(1, peer.RESPONSE), data(1, prefix(2**32 - 1)))
        self.assertEqual(event.status, Status.RESOURCE_EXHAUSTED)
        (frame,) = of_kind(peer.read(), RstStreamFrame)
        self.assertEqual(frame.error_code, ErrorCode.CANCEL)

    def test_compressed(self) -> None:
        """A compressed message is refused as grpc does: by whether its encoding was announced."""
        for encoding, flag, status, text in (
            (b"gzip", 1, 12, b'grpc: Decompressor is not installed for grpc-encoding "gzip"'),
            (None, 1, 13, b"grpc: compressed flag set with identity or empty encoding"),
            (b"identity", 1, 13, b"grpc: compressed flag set with identity or empty encoding"),
            (b"gzip", 2, 13, b"grpc: received unexpected payload format 2"),
        ):
            peer = Client()
            block = peer.REQUEST + (((b"grpc-encoding", encoding),) if encoding else ())
            events = peer.send(peer.headers(1, block), data(1, bytes((flag, 0, 0, 0, 1)) + b"x"))
            (event,) = only(events, StreamEnded)
            self.assertEqual(event.status, status)
            answer = peer.answer()
            self.assertEqual(answer[b"grpc-status"], b"%d" % status)
            self.assertEqual(answer[b"grpc-message"], text)

    def test_compressed_for_a_client(self) -> None:
        """A client calls the server's compressed message an internal error."""
        peer = Server()
        block = (*peer.RESPONSE, (b"grpc-encoding", b"gzip"))
        event = peer.ended(peer.headers(1, block), data(1, b"\x01\0\0\0\x01x"))
        self.assertEqual(event.status, Status.INTERNAL)

    def test_nothing_is_told_after_our_end(self) -> None:
        """What a client sends after the server's end is discarded, and its window given back."""
        peer = Client(Limits(connection_window=65535))
        peer.send(peer.headers(1))
        peer.send(WindowUpdateFrame(0, window_increment=1 << 20))
        peer.wire.send_message(1, b"x" * 100_000)
        peer.wire.end_stream(1)
        peer.read()
        self.assertEqual(peer.wire.live_streams, 1)
        for _ in range(20):
            self.assertEqual(peer.send(data(1, message(b"x" * 10_000))), [])
        given = of_kind(peer.read(), WindowUpdateFrame)
        self.assertEqual({f.stream_id for f in given}, {0})
        self.assertGreater(sum(f.window_increment for f in given), 150_000)
        self.assertEqual(peer.send(data(1, b"", "END_STREAM")), [])


class HalfCloseTests(SynchronousTestCase):
    def test_told_after_the_messages(self) -> None:
        """END_STREAM with the last message, on its own, or with the request."""
        peer = Client()
        peer.send(peer.headers(1))
        events = peer.send(data(1, message(b"x"), "END_STREAM"))
        self.assertEqual(events, [MessageReceived(1, b"x", 6), HALF_CLOSED])
        peer = Client()
        peer.send(peer.headers(1))
        self.assertEqual(peer.send(data(1, b"", "END_STREAM")), [HALF_CLOSED])
        peer = Client()
        self.assertEqual(peer.send(peer.headers(1, peer.REQUEST, "END_STREAM"))[1:], [HALF_CLOSED])

    def test_no_window_after_it(self) -> None:
        """Who has half-closed needs no more window."""
        peer = Client(Limits(stream_window=10_000))
        peer.send(peer.headers(1), data(1, message(b"x" * 4000), "END_STREAM"))
        peer.read()
        peer.wire.acknowledge(1, 4005)
        self.assertEqual(peer.read(), [])

    def test_by_trailers(self) -> None:
        """A client may end with trailers as well."""
        peer = Client()
        peer.send(peer.headers(1))
        self.assertEqual(peer.send(peer.headers(1, ((b"a", b"b"),), "END_STREAM")), [HALF_CLOSED])

    def test_within_a_message(self) -> None:
        """A half-close that cuts a message in two ends the stream."""
        for cut in (3, 7):
            peer = Client()
            peer.send(peer.headers(1))
            events = peer.send(data(1, message(b"hello")[:cut], "END_STREAM"))
            (event,) = only(events, StreamEnded)
            self.assertEqual((event.status, event.reset), (Status.INTERNAL, False))
            self.assertEqual(peer.answer()[b"grpc-status"], b"13")
            self.assertEqual(peer.wire.live_streams, 0)

    def test_data_after_it(self) -> None:
        """DATA after END_STREAM costs the stream."""
        peer = Client()
        peer.send(peer.headers(1, peer.REQUEST, "END_STREAM"))
        (event,) = only(peer.send(data(1, message(b"x"))), StreamEnded)
        self.assertTrue(event.reset)
        (frame,) = of_kind(peer.read(), RstStreamFrame)
        self.assertEqual(frame.error_code, ErrorCode.STREAM_CLOSED)


class ConnectionTests(SynchronousTestCase):
    def test_ping(self) -> None:
        """A PING is answered by the very next output."""
        peer = Client()
        self.assertEqual(peer.send(PingFrame(0, opaque_data=b"abcdefgh")), [Pinged(0)])
        (frame,) = peer.read()
        assert isinstance(frame, PingFrame)
        self.assertEqual((frame.opaque_data, frame.flags), (b"abcdefgh", {"ACK"}))

    def test_pong(self) -> None:
        """The answer to our PING is told."""
        peer = Client()
        peer.wire.ping(b"12345678")
        (frame,) = peer.read()
        self.assertNotIn("ACK", frame.flags)
        frame.flags.add("ACK")
        self.assertEqual(peer.send(frame), [Ponged(b"12345678")])

    def test_harmless_frames(self) -> None:
        """PRIORITY, frames of unknown kinds and settings of unknown names mean nothing."""
        peer = Client()
        unknown = b"\0\0\x03\xfa\0\0\0\0\0abc"
        setting = b"\0\0\x06\x04\0\0\0\0\0\x7f\x7f\0\0\0\x01"
        priority = PriorityFrame(1, depends_on=0, stream_weight=3, exclusive=False)
        self.assertEqual(peer.send(unknown, setting, priority), [])
        self.assertFalse(peer.wire.closed)

    def test_goaway_from_the_server(self) -> None:
        """Streams up to the last id go on, later ones are over, new ones are refused."""
        peer = Server(streams=3)
        events = peer.send(GoAwayFrame(0, last_stream_id=3, additional_data=b"bye"))
        self.assertEqual(events[0], GoingAway(3, 0, b"bye"))
        self.assertEqual(
            [(e.stream_id, e.status, e.reset) for e in only(events, StreamEnded)],
            [(5, Status.UNAVAILABLE, True)],
        )
        with self.assertRaises(StreamRefused):
            peer.wire.open_stream(PATH, (), authority="a", scheme="http")
        self.assertEqual(peer.send(peer.headers(3, peer.RESPONSE)), [HeadersReceived(3, ())])
        peer.wire.send_message(3, b"x")
        self.assertEqual(len(of_kind(peer.read(), DataFrame)), 1)

    def test_goaway_twice(self) -> None:
        """A graceful server first names the highest id there is, later the true one."""
        peer = Server(streams=2)
        events = peer.send(GoAwayFrame(0, last_stream_id=2**31 - 1))
        self.assertEqual(events, [GoingAway(2**31 - 1, 0, b"")])
        events = peer.send(GoAwayFrame(0, last_stream_id=1, error_code=2))
        self.assertEqual(events[0], GoingAway(1, 2, b""))
        self.assertEqual([e.stream_id for e in only(events, StreamEnded)], [3])
        # Naming a higher id again brings nothing back.
        self.assertEqual(peer.send(GoAwayFrame(0, last_stream_id=9)), [GoingAway(1, 0, b"")])
        self.assertEqual(peer.wire.live_streams, 1)

    def test_goaway_from_the_client(self) -> None:
        """A client's GOAWAY is about streams of the server; its own go on."""
        peer = Client()
        peer.send(peer.headers(1))
        self.assertEqual(peer.send(GoAwayFrame(0, last_stream_id=0)), [GoingAway(0, 0, b"")])
        self.assertEqual(peer.send(data(1, message(b"x"))), [MessageReceived(1, b"x", 6)])
