"""Tests of konnect.wire.grpc: two connections joined by bytes."""

from __future__ import annotations

from typing import Any

from hyperframe.frame import (
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
)
from hypothesis import given, settings
from hypothesis import strategies as st
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
from konnect.wire.grpc import GrpcConnection, Limits, Role, StreamRefused
from konnect.wire.status import OK, ErrorCode, Status
from tests.wire.pump import PATH, Pair, RawPeer, data, of_kind, only, parse, payloads


class ConversationTests(SynchronousTestCase):
    def converse(self, pair: Pair) -> None:
        """One stream with everything that a stream can have."""
        stream_id = pair.client.open_stream(
            PATH, [("agentid", "ü x")], authority="%2Ftmp%2Fx.sock", scheme="http"
        )
        pair.client.send_message(stream_id, b"hello")
        pair.client.send_message(stream_id, b"")
        pair.run()
        pair.server.send_headers(stream_id, [("serverid", "s")])
        pair.server.send_message(stream_id, b"w" * 20_000)
        pair.client.end_stream(stream_id)
        pair.client.ping(b"12345678")
        pair.run()
        pair.server.end_stream(stream_id, Status.UNKNOWN, "nö: 100%\n")
        pair.run()
        (ping,) = only(pair.server_events, Pinged)
        self.assertEqual(ping.sent, 20_005)
        pair.server_events.remove(ping)
        self.assertEqual(
            pair.server_events,
            [
                StreamOpened(stream_id, PATH, (("agentid", "ü x"),), "%2Ftmp%2Fx.sock"),
                MessageReceived(stream_id, b"hello", 10),
                MessageReceived(stream_id, b"", 5),
                HalfClosed(stream_id),
            ],
        )
        self.assertEqual(
            sorted(pair.client_events, key=lambda e: isinstance(e, Ponged)),
            [
                HeadersReceived(stream_id, (("serverid", "s"),)),
                MessageReceived(stream_id, b"w" * 20_000, 20_005),
                StreamEnded(stream_id, Status.UNKNOWN, "nö: 100%\n", False),
                Ponged(b"12345678"),
            ],
        )
        self.assertEqual((pair.client.live_streams, pair.server.live_streams), (0, 0))

    def test_whole(self) -> None:
        """Both sides hear what the other says, in order."""
        self.converse(Pair())

    def test_one_byte_at_a_time(self) -> None:
        """The same, when each byte comes alone."""
        self.converse(Pair(step=1))

    @given(st.integers(min_value=1, max_value=40_000))
    @settings(max_examples=30)
    def test_any_step(self, step: int) -> None:
        """The same, however the bytes are cut."""
        self.converse(Pair(step=step))

    def test_many_streams(self) -> None:
        """Streams do not mix."""
        pair = Pair(step=997)
        ids = [pair.open() for _ in range(50)]
        for n in range(5):
            for stream_id in ids:
                pair.client.send_message(stream_id, b"%d-%d" % (stream_id, n) * 200)
                pair.server.send_message(stream_id, b"%d+%d" % (stream_id, n) * 300)
        pair.run()
        for stream_id in ids:
            self.assertEqual(
                payloads(pair.server_events, stream_id),
                [b"%d-%d" % (stream_id, n) * 200 for n in range(5)],
            )
            self.assertEqual(
                payloads(pair.client_events, stream_id),
                [b"%d+%d" % (stream_id, n) * 300 for n in range(5)],
            )


class CallTests(SynchronousTestCase):
    def test_headers_come_with_the_first_message(self) -> None:
        """Who says nothing about response headers has them sent before the first message."""
        pair = Pair()
        stream_id = pair.open()
        pair.server.send_message(stream_id, b"x")
        pair.run()
        self.assertEqual(
            pair.client_events,
            [HeadersReceived(stream_id, ()), MessageReceived(stream_id, b"x", 6)],
        )

    def test_headers_twice(self) -> None:
        """Response headers that would come too late are an error of the caller."""
        pair = Pair()
        stream_id = pair.open()
        pair.server.send_message(stream_id, b"x")
        with self.assertRaises(RuntimeError):
            pair.server.send_headers(stream_id)

    def test_trailers_only(self) -> None:
        """An end without anything before it is one block of headers."""
        peer = RawPeer(Role.SERVER)
        peer.send(peer.headers(1))
        peer.wire.end_stream(1, Status.UNKNOWN, "a b")
        (frame,) = of_kind(peer.read(), HeadersFrame)
        self.assertEqual(
            peer.fields(frame),
            {
                b":status": b"200",
                b"content-type": b"application/grpc",
                b"grpc-status": b"2",
                b"grpc-message": b"a b",
            },
        )
        pair = Pair()
        stream_id = pair.open()
        pair.server.end_stream(stream_id)
        pair.run()
        self.assertEqual(pair.client_events, [StreamEnded(stream_id, OK, "", False)])

    def test_a_client_has_no_status(self) -> None:
        """A client half-closes and cannot say more."""
        pair = Pair()
        stream_id = pair.open()
        for arguments in ((Status.UNKNOWN,), (OK, "text")):
            with self.assertRaises(ValueError):
                pair.client.end_stream(stream_id, *arguments)
        pair.run()
        self.assertEqual(only(pair.server_events, HalfClosed), [])

    def test_half_close_follows_the_queue(self) -> None:
        """The client's messages arrive before its half-close, and none is taken after it."""
        pair = Pair()
        stream_id = pair.open()
        pair.client.send_message(stream_id, b"x" * 200_000)
        pair.client.end_stream(stream_id)
        pair.client.send_message(stream_id, b"late")
        pair.client.end_stream(stream_id)
        pair.run()
        self.assertEqual(
            pair.server_events[1:],
            [MessageReceived(stream_id, b"x" * 200_000, 200_005), HalfClosed(stream_id)],
        )

    def test_second_end(self) -> None:
        """Only the first end of a stream counts, and nothing can be sent behind it."""
        pair = Pair()
        stream_id = pair.open()
        pair.server.send_message(stream_id, b"x" * 100_000)
        pair.server.end_stream(stream_id, Status.ABORTED)
        pair.server.end_stream(stream_id)
        pair.server.send_message(stream_id, b"late")
        pair.server.send_headers(stream_id)
        pair.run()
        self.assertEqual(payloads(pair.client_events, stream_id), [b"x" * 100_000])
        (end,) = only(pair.client_events, StreamEnded)
        self.assertEqual(end.status, Status.ABORTED)

    def test_reset_by_each_side(self) -> None:
        """A reset is told once, to the other side only, in the midst of a message and a queue."""
        for reset_by_client in (True, False):
            pair = Pair(Limits(stream_window=65535), Limits(stream_window=65535), acknowledge=False)
            stream_id = pair.open()
            for side in (pair.client, pair.server):
                for _ in range(3):
                    side.send_message(stream_id, b"x" * 60_000)
            pair.run()
            self.assertGreater(pair.client.queued(stream_id), 0)
            self.assertGreater(pair.server.queued(stream_id), 0)
            side = pair.client if reset_by_client else pair.server
            side.reset_stream(stream_id)
            pair.run()
            ended = only(pair.client_events, StreamEnded), only(pair.server_events, StreamEnded)
            self.assertEqual([len(e) for e in ended], [0, 1] if reset_by_client else [1, 0])
            self.assertEqual((pair.client.live_streams, pair.server.live_streams), (0, 0))

    def test_metadata_that_cannot_be_sent(self) -> None:
        """Metadata with a line break raises and leaves the stream as it was."""
        pair = Pair()
        bad = [("a", "x\r\ny: z")]
        with self.assertRaises(ValueError):
            pair.client.open_stream(PATH, bad, authority="a", scheme="http")
        stream_id = pair.open()
        with self.assertRaises(ValueError):
            pair.server.send_headers(stream_id, bad)
        pair.server.end_stream(stream_id)
        pair.run()
        self.assertEqual(pair.client_events, [StreamEnded(stream_id, OK, "", False)])

    def test_ping_size(self) -> None:
        """A PING has eight bytes."""
        with self.assertRaises(ValueError):
            Pair().client.ping(b"short")

    def test_unknown_streams(self) -> None:
        """Calls for streams that never were do nothing."""
        pair = Pair()
        for side in (pair.client, pair.server):
            side.send_message(9, b"x")
            side.send_headers(9)
            side.end_stream(9)
            side.reset_stream(9)
            side.acknowledge(9, 1 << 20)
            self.assertEqual(side.output(), b"")


class OpeningTests(SynchronousTestCase):
    def test_limit_of_the_peer(self) -> None:
        """A peer's MAX_CONCURRENT_STREAMS is obeyed, and a stream that ends makes room."""
        peer = RawPeer(Role.CLIENT, MAX_CONCURRENT_STREAMS=2)
        first = self.open(peer)
        self.open(peer)
        with self.assertRaises(StreamRefused):
            self.open(peer)
        peer.wire.reset_stream(first)
        self.assertEqual(self.open(peer), 5)

    def test_our_limit(self) -> None:
        """A stream above our MAX_CONCURRENT_STREAMS is refused, alone; one that ends makes room."""
        limits = Limits(max_streams=2)
        wire = GrpcConnection(Role.SERVER, limits)
        wire.start()
        (announced,) = of_kind(parse(wire.output()), SettingsFrame)
        self.assertEqual(announced.settings[SettingsFrame.MAX_CONCURRENT_STREAMS], 2)
        peer = RawPeer(Role.SERVER, limits)
        peer.send(*(peer.headers(stream_id) for stream_id in (1, 3, 5)))
        (refused,) = of_kind(peer.read(), RstStreamFrame)
        self.assertEqual((refused.stream_id, refused.error_code), (5, ErrorCode.REFUSED_STREAM))
        self.assertEqual(peer.wire.overhead.wasted, 1)
        peer.send(data(5, prefix(1) + b"x"), SettingsFrame(0, flags=["ACK"]))
        peer.wire.reset_stream(1)
        peer.send(peer.headers(7))
        opened = [event.stream_id for event in only(peer.events, StreamOpened)]
        self.assertEqual(opened, [1, 3, 7])
        self.assertFalse(peer.wire.closed)

    def test_stream_ids_run_out(self) -> None:
        """The last stream id is used, and after it none."""
        peer = RawPeer(Role.CLIENT)
        # A connection that lived through a thousand million streams would take too long to make.
        http2: Any = peer.wire._http2._real
        http2.highest_outbound_stream_id = 2**31 - 3
        self.assertEqual(self.open(peer), 2**31 - 1)
        with self.assertRaises(StreamRefused):
            self.open(peer)
        self.assertFalse(peer.wire.closed)

    def test_after_the_end(self) -> None:
        """A connection that is lost opens no stream."""
        peer = RawPeer(Role.CLIENT)
        peer.wire.connection_lost()
        with self.assertRaises(StreamRefused):
            self.open(peer)

    def open(self, peer: RawPeer) -> int:
        return peer.wire.open_stream(PATH, (), authority="a", scheme="http")


class GoawayTests(SynchronousTestCase):
    def test_by_the_server(self) -> None:
        """Live streams go on to their end in both directions."""
        pair = Pair()
        stream_id = pair.open()
        pair.server.send_message(stream_id, b"before")
        pair.server.goaway(0, b"graceful_stop")
        pair.run()
        self.assertEqual(
            only(pair.client_events, GoingAway), [GoingAway(stream_id, 0, b"graceful_stop")]
        )
        pair.client.send_message(stream_id, b"after")
        pair.server.send_message(stream_id, b"x" * 100_000)
        pair.run()
        pair.server.end_stream(stream_id)
        pair.run()
        self.assertEqual(payloads(pair.server_events, stream_id), [b"after"])
        self.assertEqual(payloads(pair.client_events, stream_id), [b"before", b"x" * 100_000])
        self.assertEqual(only(pair.client_events, StreamEnded)[0].status, OK)

    def test_by_the_client(self) -> None:
        """A client may say that it goes away, and still use and open its streams."""
        pair = Pair()
        stream_id = pair.open()
        pair.client.goaway(0, b"bye")
        pair.client.send_message(stream_id, b"x")
        pair.run()
        self.assertEqual(only(pair.server_events, GoingAway), [GoingAway(0, 0, b"bye")])
        self.assertEqual(payloads(pair.server_events, stream_id), [b"x"])

    def test_a_stream_that_crosses_it(self) -> None:
        """A stream opened before the GOAWAY was seen is refused, to be tried elsewhere."""
        pair = Pair()
        live = pair.open()
        pair.server.goaway()
        crossing = pair.client.open_stream(PATH, (), authority="a", scheme="http")
        pair.run()
        self.assertEqual([e.stream_id for e in only(pair.server_events, StreamOpened)], [live])
        (end,) = only(pair.client_events, StreamEnded)
        self.assertEqual((end.stream_id, end.status), (crossing, Status.UNAVAILABLE))
        self.assertEqual((pair.client.live_streams, pair.server.live_streams), (1, 1))

    def test_a_notice(self) -> None:
        """A notice refuses nothing that crosses it; the GOAWAY behind it does."""
        pair = Pair()
        pair.open()
        pair.server.goaway(notice=True)
        crossing = pair.client.open_stream(PATH, (), authority="a", scheme="http")
        pair.run()
        self.assertIn(crossing, [e.stream_id for e in only(pair.server_events, StreamOpened)])
        self.assertEqual(
            [e.last_stream_id for e in only(pair.client_events, GoingAway)], [2**31 - 1]
        )
        with self.assertRaises(StreamRefused):
            pair.client.open_stream(PATH, (), authority="a", scheme="http")
        pair.server.goaway()
        pair.run()
        self.assertEqual(only(pair.client_events, GoingAway)[-1].last_stream_id, crossing)
        self.assertEqual((pair.client.live_streams, pair.server.live_streams), (2, 2))

    def test_refused_after_it(self) -> None:
        """A client that opens a stream in spite of the GOAWAY gets REFUSED_STREAM."""
        peer = RawPeer(Role.SERVER)
        peer.send(peer.headers(1))
        peer.wire.goaway()
        peer.wire.goaway(11, b"again")
        away = of_kind(peer.read(), GoAwayFrame)
        self.assertEqual([(f.last_stream_id, f.error_code) for f in away], [(1, 0), (1, 11)])
        self.assertEqual(
            peer.send(peer.headers(3), data(1, prefix(0))), [MessageReceived(1, b"", 5)]
        )
        (frame,) = of_kind(peer.read(), RstStreamFrame)
        self.assertEqual((frame.stream_id, frame.error_code), (3, 7))
        # What was refused cannot be taken back.
        peer.wire.goaway()
        (away_again,) = of_kind(peer.read(), GoAwayFrame)
        self.assertEqual(away_again.last_stream_id, 1)

    def test_order(self) -> None:
        """A GOAWAY stays behind what was said before it."""
        peer = RawPeer(Role.SERVER)
        peer.send(peer.headers(1))
        peer.wire.send_headers(1)
        peer.wire.goaway()
        peer.wire.send_message(1, b"x")
        self.assertEqual([type(f) for f in peer.read()], [HeadersFrame, GoAwayFrame, DataFrame])


class LostTests(SynchronousTestCase):
    def test_every_stream_ends(self) -> None:
        """A lost connection ends every live stream, once, and is silent ever after."""
        pair = Pair()
        ids = [pair.open() for _ in range(3)]
        pair.client.send_message(ids[0], b"x")
        for side in (pair.client, pair.server):
            events = side.connection_lost()
            self.assertEqual(
                [(e.stream_id, e.status, e.reset) for e in only(events, StreamEnded)],
                [(stream_id, Status.UNAVAILABLE, True) for stream_id in ids],
            )
            self.assertTrue(side.closed)
            self.assertEqual(side.connection_lost(), [])
            self.assertEqual(side.receive(b"anything"), [])
            side.send_message(ids[0], b"x")
            side.ping(b"12345678")
            side.goaway()
        self.assertEqual(pair.server.output(), b"")

    def test_a_stream_that_the_server_has_ended(self) -> None:
        """Nobody is told of a stream that its server has ended, though its trailers never left."""
        pair = Pair(client_limits=Limits(stream_window=10), acknowledge=False)
        stream_id = pair.open()
        pair.server.send_message(stream_id, b"x" * 100_000)
        pair.server.end_stream(stream_id)
        self.assertEqual(pair.server.live_streams, 1)
        self.assertEqual(only(pair.server.connection_lost(), StreamEnded), [])
        self.assertEqual(pair.server.live_streams, 0)
