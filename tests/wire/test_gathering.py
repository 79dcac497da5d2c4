"""Tests of konnect.wire.gathering: what comes in one read is given as one, and nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire import data_packet, packets
from konnect.wire.events import ConnectionEnded, HalfClosed, StreamEnded
from konnect.wire.gathering import LARGE, MOST
from konnect.wire.grpc import Limits, Role
from konnect.wire.inlet import PacketInlet
from konnect.wire.packet_frames import COPIED
from konnect.wire.status import Status
from tests.wire.pump import RawPeer, data, only
from tests.wire.test_inlet import Sink, framed, odd

LIMITS = Limits(stream_window=2**24, connection_window=2**24, max_frame=16384 + 64)


class Telling(Sink):
    """Notes everything in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, object]] = []

    def data(self, connect_id: int, piece: bytes | memoryview, cost: int) -> int:
        self.told.append(("data", (connect_id, bytes(piece))))
        return super().data(connect_id, piece, cost)

    def packet(self, payload: bytes, cost: int) -> int:
        self.told.append(("packet", payload))
        return super().packet(payload, cost)

    @property
    def sizes(self) -> list[int]:
        """Bytes of each piece."""
        return [len(what[1]) for kind, what in self.told if kind == "data"]  # type: ignore[index]


def frames(body: bytes, stream_id: int = 1, largest: int = 16384) -> bytes:
    """A message's frames, cut as Go's clients cut them."""
    pieces = [body[i : i + largest] for i in range(0, len(body), largest)]
    return b"".join(bytes(data(stream_id, piece).serialize()) for piece in pieces)


def message(connect_id: int, size: int) -> bytes:
    return framed(data_packet.build(connect_id, bytes([size % 251]) * size))


class Connection:
    """A server's connection with streams that are cut through."""

    def __init__(self, *stream_ids: int) -> None:
        self.peer = RawPeer(Role.SERVER, LIMITS)
        self.sinks = {}
        for stream_id in stream_ids or (1,):
            self.peer.send(self.peer.headers(stream_id))
            sink = self.sinks[stream_id] = Telling()
            inlet = PacketInlet(sink, LIMITS.max_message)
            self.peer.wire.stream(stream_id).take_inlet(inlet)
        self.sink = self.sinks[1] if 1 in self.sinks else Telling()
        self.peer.events.clear()


SIZES = st.one_of(
    st.integers(1, 100),
    st.integers(COPIED - 2, COPIED + 2),
    st.integers(4000, 40_000),
    st.integers(LARGE - 2, LARGE + 2),
    st.integers(250_000, 265_000),
)
MESSAGES = st.one_of(
    st.builds(message, st.integers(1, 2), SIZES),
    st.builds(message, st.integers(1, 2), SIZES),
    st.builds(lambda size: framed(odd(1, b"x" * size)), st.integers(0, 40_000)),
    st.builds(lambda text: framed(packets.close_rsp(1, text)), st.text(max_size=30)),
)


class GatheringTests(SynchronousTestCase):
    def test_a_message_in_three_frames(self) -> None:
        """32 KiB as Go's clients send them: one piece, counted as one packet."""
        there = Connection()
        there.peer.send(frames(message(7, 32768)))
        self.assertEqual(there.sink.sizes, [32768])
        self.assertEqual(there.sink.begun, 1)

    def test_small_packets(self) -> None:
        """4 KiB each, as stock agents read them: one piece, and all of them counted."""
        there = Connection()
        there.peer.send(b"".join(frames(message(7, 4096)) for _ in range(14)))
        self.assertEqual(there.sink.sizes, [14 * 4096])
        self.assertEqual(there.sink.begun, 14)

    def test_most(self) -> None:
        """A read of any size gives pieces that fit whole TLS records with their heads."""
        there = Connection()
        there.peer.send(b"".join(frames(message(7, 16000)) for _ in range(40)))
        self.assertEqual(sum(there.sink.sizes), 40 * 16000)
        self.assertEqual(there.sink.begun, 40)
        self.assertLessEqual(max(there.sink.sizes), MOST)
        self.assertEqual(len(there.sink.sizes), 3)

    def test_large_ones_are_not_copied(self) -> None:
        inlet = PacketInlet(Sink(), 2**20)
        wire = memoryview(message(7, LARGE + 1))
        inlet.feed(wire)
        self.assertEqual(inlet.waiting, 0)
        sink = inlet.sink
        assert isinstance(sink, Sink)
        assert isinstance(sink.last, memoryview)
        self.assertIs(sink.last.obj, wire.obj)

    @given(
        st.lists(st.tuples(st.sampled_from([1, 3]), MESSAGES), max_size=12),
        st.integers(2000, 200_000),
    )
    def test_any_reads(self, sent: list[tuple[int, bytes]], read: int) -> None:
        """However the bytes are cut into reads, each stream is told the same in the same order,
        each packet is counted once, and all of the windows is given back."""
        there = Connection(1, 3)
        wire = b"".join(frames(body, stream_id) for stream_id, body in sent)
        for start in range(0, len(wire), read):
            there.peer.send(wire[start : start + read])
        for stream_id, sink in there.sinks.items():
            bodies = [body for number, body in sent if number == stream_id]
            expected: list[tuple[str, object]] = []
            for body in bodies:
                plain = data_packet.read(body[5:])
                if plain is None:
                    expected.append(("packet", body[5:]))
                    continue
                expected.append(("data", plain))
            self.assertEqual(merged(sink.told), merged(expected))
            self.assertEqual(sink.begun, sum(kind == "data" for kind, _ in expected))
            self.assertEqual(sink.cost, sum(map(len, bodies)))
        self.assertEqual(there.peer.events, [])

    def test_before_the_end(self) -> None:
        """What waits is given before the stream's end is told, whatever ends it."""
        for end, kind in (
            (data(1, b"", "END_STREAM").serialize(), HalfClosed),
            (b"\0\0\4\3\0\0\0\0\1\0\0\0\x08", StreamEnded),
            (b"\0\0\4\1\4\0\0\0\1" + b"\xff" * 4, ConnectionEnded),
            (b"\0\0\4\x08\0\0\0\0\1\x7f\xff\xff\xff", StreamEnded),
            (data(1, framed(b"")[:1].replace(b"\0", b"\1") * 9).serialize(), StreamEnded),
        ):
            there = Connection()
            there.peer.send(frames(message(7, 5000)) + end)
            self.assertEqual(there.sink.sizes, [5000])
            self.assertEqual(len(only(there.peer.events, kind)), 1)

    def test_ended_by_its_owner(self) -> None:
        """What waits of a stream is dropped when its owner ends the stream in the same read."""
        there = Connection()

        def end(payload: bytes, cost: int) -> int:
            there.peer.wire.end_stream(1, Status.CANCELLED)
            return cost

        there.sink.packet = end  # type: ignore[method-assign]
        there.peer.send(
            frames(message(7, 5000)) + frames(framed(b"odd")) + frames(message(7, 6000))
        )
        self.assertEqual(there.sink.sizes, [5000])
        self.assertEqual(only(there.peer.events, ConnectionEnded), [])


def merged(told: list[tuple[str, object]]) -> list[tuple[str, object]]:
    """The same with a tunnel's neighbouring pieces as one."""
    together: list[tuple[str, object]] = []
    for kind, what in told:
        last = together[-1] if together else ("", None)
        if kind == "data" == last[0] and last[1][0] == what[0]:  # type: ignore[index]
            together[-1] = ("data", (what[0], last[1][1] + what[1]))  # type: ignore[index]
        else:
            together.append((kind, what))
    return together
