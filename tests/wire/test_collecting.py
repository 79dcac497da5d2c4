"""Tests of konnect.wire.collecting: by itself, and at the streams of two connections."""

from __future__ import annotations

from hyperframe.frame import RstStreamFrame
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.collecting import FREE, LARGEST, PART, Collecting, NoRoomToCollect
from konnect.wire.events import StreamEnded
from konnect.wire.framing import prefix
from konnect.wire.grpc import Limits, Role
from konnect.wire.inlet import PacketInlet
from konnect.wire.status import Status
from tests.wire.pump import RawPeer, data, only
from tests.wire.test_inlet import Sink, odd


class CollectingTests(SynchronousTestCase):
    def test_small_ones(self) -> None:
        """Small messages need no room."""
        collecting = Collecting(1)
        self.assertEqual([collecting.begin(FREE) for _ in range(1000)], [0] * 1000)

    def test_room(self) -> None:
        """Large ones take it until it is used up, and leave it to others."""
        collecting = Collecting(3 * PART * LARGEST)
        taken = [collecting.begin(LARGEST) for _ in range(3)]
        self.assertEqual(taken, [LARGEST] * 3)
        error = self.assertRaises(NoRoomToCollect, collecting.begin, FREE + 1)
        self.assertIn(f"a message of {FREE + 1} bytes", str(error))
        collecting.end(taken[0])
        self.assertEqual(collecting.begin(FREE + 1), FREE + 1)

    def test_one_always(self) -> None:
        """However small the limit is, one message of the largest size has room."""
        collecting = Collecting(1000)
        collecting.end(collecting.begin(LARGEST))
        self.assertEqual(collecting.begin(LARGEST), LARGEST)

    def test_no_bound(self) -> None:
        collecting = Collecting(0)
        for _ in range(1000):
            collecting.begin(LARGEST)


ODD = odd(1, b"x" * (2 * FREE))
"""A large message that is not passed on as it comes."""


class StreamTests(SynchronousTestCase):
    """Streams of two connections."""

    def setUp(self) -> None:
        self.collecting = Collecting(1)
        self.collecting.room = len(ODD)
        self.limits = Limits(collecting=self.collecting)

    def stream(self) -> tuple[RawPeer, Sink]:
        """A new connection with a stream of packets."""
        peer = RawPeer(Role.SERVER, self.limits)
        peer.send(peer.headers(1))
        sink = Sink()
        peer.wire.stream(1).take_inlet(PacketInlet(sink, self.limits.max_message, self.collecting))
        peer.events.clear()
        return peer, sink

    def begin(self, peer: RawPeer) -> None:
        """The most of a large message, but not its end."""
        peer.send(data(1, prefix(len(ODD)) + ODD[:10_000]))

    def finish(self, peer: RawPeer) -> None:
        for start in range(10_000, len(ODD), 16_000):
            peer.send(data(1, ODD[start : start + 16_000]))

    def test_whole(self) -> None:
        """A message that has come whole leaves its room to the next."""
        for peer, sink in (self.stream(), self.stream()):
            self.begin(peer)
            self.assertEqual(self.collecting.room, 0)
            self.finish(peer)
            self.assertEqual(sink.packets, [ODD])
            self.assertEqual(self.collecting.room, len(ODD))

    def test_kept_back(self) -> None:
        """Messages that nobody takes use the window up, though it was given back as they came."""
        peer, sink = self.stream()
        sink.give_back = False
        stream = peer.wire.streams.table[1]
        whole = stream.into
        sent = 0
        for count in (1, 2):
            self.begin(peer)
            self.assertEqual(stream.into + stream.owed, whole - sent)
            self.finish(peer)
            sent = count * (len(ODD) + 5)
            self.assertEqual(stream.into + stream.owed, whole - sent)
        peer.wire.acknowledge(1, sent)
        self.assertEqual(stream.into + stream.owed, whole)

    def test_refused(self) -> None:
        """Where another has the room, the stream ends, and says why; nothing of it is kept."""
        first, _ = self.stream()
        self.begin(first)
        second, sink = self.stream()
        self.begin(second)
        (ended,) = only(second.events, StreamEnded)
        self.assertEqual(ended.status, Status.RESOURCE_EXHAUSTED)
        self.assertEqual(ended.message, str(NoRoomToCollect(len(ODD))))
        self.finish(second)
        self.assertEqual((sink.packets, second.wire.waiting()[1]), ([], 0))
        self.assertEqual(self.collecting.room, 0)

    def test_small_ones_go_on(self) -> None:
        """Others are not in the way of small messages."""
        first, _ = self.stream()
        self.begin(first)
        second, sink = self.stream()
        small = odd(2, b"y" * 1000)
        second.send(data(1, prefix(len(small)) + small[:500]))
        second.send(data(1, small[500:]))
        self.assertEqual(sink.packets, [small])

    def test_ends(self) -> None:
        """A stream that is reset, and a connection that is lost, leave what they had."""
        peer, _ = self.stream()
        self.begin(peer)
        peer.send(RstStreamFrame(1, error_code=8))
        self.assertEqual(self.collecting.room, len(ODD))
        peer, _ = self.stream()
        self.begin(peer)
        peer.wire.connection_lost()
        self.assertEqual(self.collecting.room, len(ODD))
