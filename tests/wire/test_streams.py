"""Tests of konnect.wire.streams: who sends when, and how much."""

from __future__ import annotations

from hyperframe.frame import (
    DataFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.events import ConnectionEnded, Event, StreamEnded, Writable
from konnect.wire.frames import PREFACE, end_of_data
from konnect.wire.framing import prefix
from konnect.wire.grpc import GrpcConnection, Limits, Role
from konnect.wire.status import ErrorCode, Status
from konnect.wire.streams import TURN
from tests.wire.pump import Pair, RawPeer, data, of_kind, only, payloads


def window_update(stream_id: int, increment: int) -> WindowUpdateFrame:
    return WindowUpdateFrame(stream_id, window_increment=increment)


def settings(**values: int) -> SettingsFrame:
    frame = SettingsFrame(0)
    frame.settings = {getattr(SettingsFrame, name): value for name, value in values.items()}
    return frame


class Reader(RawPeer):
    """A client whose server under test sends."""

    def __init__(self, streams: int, limits: Limits | None = None, **settings: int) -> None:
        super().__init__(Role.SERVER, limits, **settings)
        self.ids = [2 * n + 1 for n in range(streams)]
        for stream_id in self.ids:
            self.send(self.headers(stream_id))

    def data(self) -> list[tuple[int, int]]:
        """The DATA frames that come now: stream and size."""
        return [(f.stream_id, len(f.data)) for f in of_kind(self.read(), DataFrame)]


class FairnessTests(SynchronousTestCase):
    def test_streams_take_turns(self) -> None:
        """A stream with little to send waits for one turn of one with much, not for all of it."""
        peer = Reader(2, INITIAL_WINDOW_SIZE=1 << 20)
        peer.send(window_update(0, 1 << 20))
        first, second = peer.ids
        peer.wire.send_message(first, b"x" * 500_000)
        peer.wire.send_message(second, b"y" * 20_000)
        frames = peer.data()
        self.assertEqual(
            frames[:4], [(first, TURN), (second, TURN), (first, TURN), (second, 20_005 - TURN)]
        )
        self.assertEqual(sum(size for _, size in frames), 520_010)

    def test_turns_go_on_where_they_stopped(self) -> None:
        """A connection window that runs out does not send the rota back to its beginning."""
        peer = Reader(3, INITIAL_WINDOW_SIZE=1 << 20)
        for stream_id in peer.ids:
            peer.wire.send_message(stream_id, b"x" * 100_000)
        served = peer.data()
        for _ in range(5):
            peer.send(window_update(0, TURN))
            served += peer.data()
        totals = [sum(size for i, size in served if i == n) for n in peer.ids]
        self.assertLessEqual(max(totals) - min(totals), TURN)
        self.assertEqual(sum(totals), 65535 + 5 * TURN)

    def test_a_blocked_stream_blocks_no_other(self) -> None:
        """A stream without window leaves its turn to the others, until it has some."""
        peer = Reader(2, INITIAL_WINDOW_SIZE=10)
        first, second = peer.ids
        peer.send(window_update(second, 1000))
        peer.wire.send_message(first, b"x" * 100)
        peer.wire.send_message(second, b"y" * 100)
        self.assertEqual(peer.data(), [(first, 10), (second, 105)])
        self.assertEqual(peer.wire.queued(first), 95)
        peer.send(window_update(first, 1000))
        self.assertEqual(peer.data(), [(first, 95)])

    def test_small_messages_share_a_frame(self) -> None:
        """What is sent within one turn leaves in as few frames as it fits."""
        peer = Reader(1)
        for _ in range(100):
            peer.wire.send_message(1, b"abc")
        self.assertEqual(peer.data(), [(1, 800)])


class WindowTests(SynchronousTestCase):
    def test_initial_window_grows(self) -> None:
        """More INITIAL_WINDOW_SIZE lets waiting streams go on at once."""
        peer = Reader(2, INITIAL_WINDOW_SIZE=0)
        for stream_id in peer.ids:
            peer.wire.send_message(stream_id, b"x" * 100)
        self.assertEqual(peer.data(), [])
        peer.send(settings(INITIAL_WINDOW_SIZE=50))
        self.assertEqual(peer.data(), [(1, 50), (3, 50)])

    def test_initial_window_shrinks(self) -> None:
        """A window that SETTINGS made negative is waited out."""
        peer = Reader(1, INITIAL_WINDOW_SIZE=1000)
        peer.wire.send_message(1, b"x" * 2000)
        self.assertEqual(peer.data(), [(1, 1000)])
        peer.send(settings(INITIAL_WINDOW_SIZE=100))
        peer.send(window_update(1, 900))
        self.assertEqual(peer.data(), [])
        peer.send(window_update(1, 7))
        self.assertEqual(peer.data(), [(1, 7)])
        peer.send(settings(INITIAL_WINDOW_SIZE=2000))
        self.assertEqual(peer.data(), [(1, 998)])

    def test_half_closed(self) -> None:
        """A client that has said all it wants to goes on to open its window for the answer."""
        peer = Reader(1, INITIAL_WINDOW_SIZE=1000)
        peer.wire.receive(end_of_data(1))
        peer.wire.send_message(1, b"x" * 2000)
        self.assertEqual(peer.data(), [(1, 1000)])
        peer.send(window_update(1, 900))
        self.assertEqual(peer.data(), [(1, 900)])

    def test_connection_window(self) -> None:
        """All streams together keep to the connection's window."""
        peer = Reader(2, INITIAL_WINDOW_SIZE=1 << 20)
        for stream_id in peer.ids:
            peer.wire.send_message(stream_id, b"x" * 60_000)
        self.assertEqual(sum(size for _, size in peer.data()), 65535)
        self.assertEqual(peer.data(), [])
        peer.send(window_update(0, 100))
        self.assertEqual(sum(size for _, size in peer.data()), 100)

    def test_frame_size(self) -> None:
        """A larger MAX_FRAME_SIZE is used, but no reason for longer turns among streams."""
        peer = Reader(1, INITIAL_WINDOW_SIZE=1 << 20, MAX_FRAME_SIZE=1 << 20)
        peer.wire.send_message(1, b"x" * 50_000)
        self.assertEqual([size for _, size in peer.data()], [50_005])
        peer = Reader(2, INITIAL_WINDOW_SIZE=1 << 20, MAX_FRAME_SIZE=1 << 20)
        for stream_id in peer.ids:
            peer.wire.send_message(stream_id, b"x" * 30_000)
        self.assertEqual(max(size for _, size in peer.data()), TURN)

    def test_end_needs_no_window(self) -> None:
        """Trailers pass although the window is closed."""
        peer = Reader(1, INITIAL_WINDOW_SIZE=0)
        peer.wire.end_stream(1)
        (trailers,) = of_kind(peer.read(), HeadersFrame)
        self.assertIn("END_STREAM", trailers.flags)

    def test_window_overflow(self) -> None:
        """A stream's window above 2^31-1 ends that stream alone."""
        peer = Reader(2)
        peer.send(window_update(1, 2**31 - 1))
        self.assertEqual([e.stream_id for e in only(peer.events, StreamEnded)], [1])
        (reset,) = of_kind(peer.read(), RstStreamFrame)
        self.assertEqual(reset.error_code, ErrorCode.FLOW_CONTROL_ERROR)
        self.assertEqual(peer.wire.live_streams, 1)


class DirectTests(SynchronousTestCase):
    """Messages that go past the queue."""

    def ready(self, **settings: int) -> Reader:
        """A server whose stream is past its first message, with nothing queued."""
        peer = Reader(1, None, **settings)
        peer.wire.send_message(1, b"")
        peer.read()
        return peer

    def test_charged(self) -> None:
        """What goes directly takes as much of both windows as what is queued."""
        for own, connection in ((65535, 65535), (1000, 65535), (1 << 20, 65535)):
            peer = self.ready(INITIAL_WINDOW_SIZE=own)
            self.assertIsNotNone(peer.wire.streams.direct(peer.wire.stream(1), b"", 495))
            peer.wire.send_message(1, bytes(80_000))
            self.assertEqual(sum(size for _, size in peer.data()), min(own, connection) - 505)

    def test_fits_or_not(self) -> None:
        """To the byte: a window's rest, of the stream or of the connection, or one frame."""
        for settings, most in (
            ({"INITIAL_WINDOW_SIZE": 1000}, 990),
            ({"INITIAL_WINDOW_SIZE": 1 << 20, "MAX_FRAME_SIZE": 1 << 20}, 65525),
            ({"INITIAL_WINDOW_SIZE": 1 << 20}, 16379),
        ):
            peer = self.ready(**settings)
            stream, direct = peer.wire.stream(1), peer.wire.streams.direct
            self.assertIsNone(direct(stream, b"head", most - 3))
            self.assertIsNotNone(direct(stream, b"head", most - 4))

    def test_behind_the_queue(self) -> None:
        """Nothing overtakes what is queued, though there is room for it."""
        peer = self.ready()
        stream = peer.wire.stream(1)
        self.assertTrue(stream.straight)
        peer.wire.send_message(1, bytes(20_000))
        self.assertFalse(stream.straight)
        peer.read()
        self.assertTrue(stream.straight)


class OwnWindowTests(SynchronousTestCase):
    """Windows that the peer sends into."""

    def test_below_the_default(self) -> None:
        """A peer may use HTTP/2's default until it has acknowledged our smaller window, on all its
        streams; what it acknowledges after that takes nothing more from them."""
        acknowledged = SettingsFrame(0)
        acknowledged.flags.add("ACK")
        for last in (3, 7):
            peer = RawPeer(Role.SERVER, Limits(stream_window=1000))
            peer.send(peer.headers(1), data(1, b"x" * 1001), peer.headers(3))
            peer.send(acknowledged, peer.headers(5), data(5, bytes(1000)))
            peer.wire.window_of(5).widen(1500)
            peer.send(acknowledged, peer.headers(7), data(10 - last, bytes(1500)))
            self.assertEqual(only(peer.events, ConnectionEnded), [])
            peer.send(data(last, bytes(1501)))
            (ended,) = only(peer.events, ConnectionEnded)
            self.assertEqual(ended.code, ErrorCode.FLOW_CONTROL_ERROR)

    def test_in_its_place(self) -> None:
        """What opens a window goes behind what h2 has said before: SETTINGS are a server's first
        frame, however much its client sends at once."""
        peer = RawPeer(Role.SERVER)
        peer.wire = GrpcConnection(Role.SERVER, Limits(stream_window=65535))
        peer.wire.start()
        hello = PREFACE + SettingsFrame(0).serialize()
        most = 16384
        peer.send(hello, peer.headers(1), data(1, prefix(9 * most)), *2 * [data(1, b"x" * most)])
        kinds = [type(frame) for frame in peer.read()]
        self.assertIs(kinds[0], SettingsFrame)
        self.assertIs(kinds[-1], WindowUpdateFrame)


class WritableTests(SynchronousTestCase):
    def test_marks(self) -> None:
        """Not writable above the high mark, `Writable` once at the low one."""
        limits = Limits(send_high=1000, send_low=400)
        peer = Reader(1, limits, INITIAL_WINDOW_SIZE=0)
        wire = peer.wire
        wire.send_message(1, b"x" * 995)
        self.assertTrue(wire.writable(1))
        wire.send_message(1, b"")
        self.assertFalse(wire.writable(1))
        self.assertEqual(wire.queued(1), 1005)
        seen: list[Event] = []
        for _ in range(10):
            peer.send(window_update(1, 100))
            peer.read()
            seen += wire.pending()
            self.assertEqual(wire.writable(1), wire.queued(1) <= 400)
        self.assertEqual(seen, [Writable(1)])

    def test_output_keeps_what_is_not_asked_for(self) -> None:
        """While `output` is not called, the queue grows and the stream is not writable."""
        peer = Reader(1)
        peer.wire.send_message(1, b"x" * 65536)
        self.assertFalse(peer.wire.writable(1))
        peer.data()
        self.assertTrue(peer.wire.writable(1))
        self.assertEqual(peer.wire.queued(1), 6)

    def test_not_told_after_the_end(self) -> None:
        """A stream whose end waits behind its queue wants nothing more."""
        peer = Reader(1)
        peer.wire.send_message(1, b"x" * 100_000)
        peer.wire.end_stream(1)
        peer.read()
        peer.send(window_update(0, 1 << 20), window_update(1, 1 << 20))
        peer.read()
        self.assertEqual(peer.wire.pending(), [])
        self.assertEqual(peer.wire.live_streams, 0)

    def test_gone_streams(self) -> None:
        """A stream that has ended, or never was, is not writable and has nothing queued."""
        peer = Reader(1)
        peer.wire.send_message(1, b"x")
        peer.wire.end_stream(1)
        self.assertFalse(peer.wire.writable(1))
        self.assertEqual(peer.wire.queued(1), 6)
        peer.data()
        self.assertEqual(peer.wire.queued(1), 0)
        self.assertFalse(peer.wire.writable(77))


class EndTests(SynchronousTestCase):
    def test_trailers_follow_the_queue(self) -> None:
        """What was queued before the end arrives before the end, however slow the reader."""
        peer = Reader(1, INITIAL_WINDOW_SIZE=10)
        peer.wire.send_message(1, b"x" * 95)
        peer.wire.end_stream(1, Status.ABORTED)
        frames = peer.read()
        for _ in range(9):
            self.assertEqual(len(of_kind(frames, HeadersFrame)), 1)
            peer.send(window_update(1, 10))
            frames += peer.read()
        self.assertEqual(
            b"".join(f.data for f in of_kind(frames, DataFrame)), prefix(95) + b"x" * 95
        )
        self.assertEqual(len(of_kind(frames, HeadersFrame)), 2)
        self.assertEqual(peer.wire.live_streams, 0)

    def test_reset_follows_the_trailers(self) -> None:
        """A client that has not half-closed is told by RST_STREAM(NO_ERROR) that it may stop."""
        peer = Reader(1)
        peer.wire.end_stream(1)
        kinds = [type(f) for f in peer.read() if f.stream_id == 1]
        self.assertEqual(kinds, [HeadersFrame, RstStreamFrame])

    def test_no_reset_after_a_half_close(self) -> None:
        """A client that has half-closed gets trailers and nothing else."""
        peer = RawPeer(Role.SERVER)
        peer.send(peer.headers(1, peer.REQUEST, "END_STREAM"))
        peer.wire.end_stream(1)
        self.assertEqual([type(f) for f in peer.read() if f.stream_id == 1], [HeadersFrame])

    def test_nothing_goes_past_the_queue_behind_the_end(self) -> None:
        """A client whose half-close has gone out has no frame left to send, by any way."""
        pair = Pair()
        stream_id = pair.open()
        pair.client.send_message(stream_id, b"x")
        pair.run()
        stream = pair.client.stream(stream_id)
        self.assertTrue(stream.straight)
        pair.client.end_stream(stream_id)
        self.assertFalse(stream.straight)
        self.assertIsNone(pair.client.first(stream, b"", 0))

    def test_reset_drops_the_queue(self) -> None:
        """After a reset nothing of the stream goes out but RST_STREAM."""
        peer = Reader(2)
        peer.wire.send_message(1, b"x" * 1000)
        peer.read()
        peer.wire.send_message(1, b"x" * 1000)
        peer.wire.send_message(3, b"y")
        peer.wire.reset_stream(1)
        frames = peer.read()
        self.assertEqual([type(f) for f in frames if f.stream_id == 1], [RstStreamFrame])
        self.assertEqual([f.stream_id for f in of_kind(frames, DataFrame)], [3])


class LargeMessageTests(SynchronousTestCase):
    def test_through_a_small_window(self) -> None:
        """A message many times the stream's window arrives, before anyone could acknowledge it."""
        small = Limits(stream_window=4096)
        pair = Pair(small, small, acknowledge=False)
        stream_id = pair.open()
        message = bytes(range(256)) * 4096
        pair.client.send_message(stream_id, message)
        pair.server.send_message(stream_id, message[::-1])
        pair.run()
        self.assertEqual(payloads(pair.server_events, stream_id), [message])
        self.assertEqual(payloads(pair.client_events, stream_id), [message[::-1]])

    def test_unacknowledged_messages_stop_the_sender(self) -> None:
        """A receiver that acknowledges nothing holds two large messages at most, and no third."""
        pair = Pair(server_limits=Limits(stream_window=4096), acknowledge=False)
        stream_id = pair.open()
        for _ in range(10):
            pair.client.send_message(stream_id, b"x" * 100_000)
        pair.run()
        self.assertEqual(len(payloads(pair.server_events, stream_id)), 2)
        self.assertGreaterEqual(pair.client.queued(stream_id), 700_000)

    def test_windows_do_not_leak(self) -> None:
        """Messages of all sizes, acknowledged, pass for ever."""
        limits = Limits(stream_window=4096, connection_window=65535)
        pair = Pair(limits, limits)
        stream_id = pair.open()
        sizes = [n * 37 % 6000 for n in range(500)]
        for size in sizes:
            pair.client.send_message(stream_id, b"x" * size)
        pair.run()
        self.assertEqual([len(p) for p in payloads(pair.server_events, stream_id)], sizes)

    def test_a_held_stream_holds_up_no_other(self) -> None:
        """A stream that nobody acknowledges does not take the connection's window with it."""
        limits = Limits(stream_window=65535, connection_window=65535)
        pair = Pair(server_limits=limits, acknowledge=False)
        held = [pair.open() for _ in range(10)]
        for stream_id in held:
            pair.client.send_message(stream_id, b"x" * 1000)
            pair.client.send_message(stream_id, b"x" * 60_000)
            pair.client.send_message(stream_id, b"x" * 60_000)
        pair.run()
        free = pair.open()
        pair.client.send_message(free, b"y" * 30_000)
        pair.run()
        self.assertEqual(payloads(pair.server_events, free), [b"y" * 30_000])
