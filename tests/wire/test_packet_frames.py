"""Tests of konnect.wire.packet_frames: the fast way does what the layers that it passes by do."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.pb.konnect_pb2 import DATA, Packet
from konnect.wire import data_packet, packets
from konnect.wire.events import ConnectionEnded, StreamEnded
from konnect.wire.framing import prefix
from konnect.wire.grpc import Limits, Role
from konnect.wire.inlet import PacketInlet
from konnect.wire.status import ErrorCode, Status
from tests.wire.pump import RawPeer, data, only
from tests.wire.test_inlet import Sink, framed, odd

LIMITS = Limits(max_message=5000, max_frame=16384 + 64)


def frame(body: bytes, stream_id: int = 1, *flags: str) -> bytes:
    return bytes(data(stream_id, body, *flags).serialize())


class Listening:
    """A server's connection with one stream that is cut through, and all that it tells."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.peer = RawPeer(Role.SERVER, limits)
        self.peer.send(self.peer.headers(1))
        self.sink = Sink()
        inlet = PacketInlet(self.sink, limits.max_message)
        self.peer.wire.stream(1).take_inlet(inlet)
        self.peer.events.clear()

    def outcome(self) -> tuple[object, ...]:
        events = self.peer.events
        ended = [(e.status, e.message, e.reset) for e in only(events, StreamEnded)]
        broken = [(e.code, e.text) for e in only(events, ConnectionEnded)]
        return self.sink.payload, self.sink.packets, ended, broken


IDS = st.one_of(st.integers(1, 300), st.sampled_from([2**14 - 1, 2**14, 2**21, 2**35, 2**63 - 1]))
PACKETS = st.one_of(
    st.builds(data_packet.build, IDS, st.binary(min_size=1, max_size=300)),
    st.builds(data_packet.build, IDS, st.binary(min_size=1, max_size=300)),
    st.builds(odd, IDS, st.binary(max_size=300)),
    st.builds(packets.close_rsp, IDS, st.text(max_size=30)),
    st.binary(max_size=20),
    # Heads that say something else than there is.
    st.builds(
        lambda a, b, c, rest: b"\x08\x04\x22" + a + b"\x08" + b + b"\x1a" + c + rest,
        *[st.binary(max_size=3)] * 3,
        st.binary(max_size=20),
    ),
)
FRAMES = st.one_of(
    st.builds(lambda packet: frame(framed(packet)), PACKETS),
    st.builds(lambda packet: frame(framed(packet)), PACKETS),
    # Two in one, one in two, one on another stream, compressed, padded.
    st.builds(lambda a, b: frame(framed(a) + framed(b)), PACKETS, PACKETS),
    st.builds(
        lambda a, cut: frame(framed(a)[:cut]) + frame(framed(a)[cut:]), PACKETS, st.integers(0, 30)
    ),
    st.builds(lambda packet: frame(framed(packet), 3), PACKETS),
    st.builds(lambda packet: frame(b"\1" + framed(packet)[1:]), PACKETS),
    st.builds(lambda packet: bytes(data(1, framed(packet), pad=4).serialize()), PACKETS),
    st.just(frame(b"")),
    st.just(frame(prefix(5001) + b"x")),
    st.builds(lambda packet: frame(framed(packet), 1, "END_STREAM"), PACKETS),
)


class PacketFramesTests(SynchronousTestCase):
    @given(st.lists(FRAMES, max_size=10))
    @example([frame(framed(b"\x08\x04\x22" + b"\xff" * 6))])
    @example([frame(framed(b"\x08\x04\x22\x05\x08\x01\x1a\x81\x00"))])
    @example([frame(framed(data_packet.build(1, b"abc"))[:-1]), frame(b""), frame(b"c")])
    @example([frame(framed(data_packet.build(1 << bits, b"x"))) for bits in range(0, 63, 7)])
    @example([frame(framed(data_packet.build((1 << bits) - 1, b"x"))) for bits in range(7, 64, 7)])
    @example([frame(framed(b"\x08\x04\x22\x08\x08\x81\x80\x80\x00\x1a\x01x"))])
    def test_as_byte_by_byte(self, sent: list[bytes]) -> None:
        """What comes at once is told as what comes byte by byte, which is never taken as frames."""
        whole, pieces = Listening(), Listening()
        whole.peer.send(b"".join(sent))
        for byte in b"".join(sent):
            pieces.peer.send(bytes([byte]))
        self.assertEqual(whole.outcome(), pieces.outcome())

    def test_one_piece_each(self) -> None:
        there = Listening()
        there.peer.send(*(frame(framed(data_packet.build(i + 1, b"x" * 70))) for i in range(20)))
        self.assertEqual(there.sink.payload, {i + 1: b"x" * 70 for i in range(20)})
        self.assertEqual(there.sink.pieces, 20)
        self.assertIsInstance(there.sink.last, bytes)

    def test_large_payloads_are_not_copied(self) -> None:
        there = Listening()
        there.peer.send(frame(framed(data_packet.build(1, b"x" * 3000))))
        self.assertIsInstance(there.sink.last, memoryview)

    def test_the_windows(self) -> None:
        """Neither more nor less than the window is taken, at once or in parts."""
        limits = Limits(stream_window=65535, connection_window=65535)
        packet = framed(data_packet.build(1, b"x" * 1000))
        for more in 0, 1:
            there = Listening(limits)
            there.sink.give_back = False
            rest = 65535 - len(packet) * (65535 // len(packet))
            last = framed(b"y" * (rest - 5 + more))
            there.peer.send(*[frame(packet)] * (65535 // len(packet)), frame(last))
            broken = only(there.peer.events, ConnectionEnded)
            self.assertEqual([e.code for e in broken], [ErrorCode.FLOW_CONTROL_ERROR] * more)
            self.assertEqual(len(there.sink.packets), 1 - more)

    def test_given_back(self) -> None:
        """A peer that is given back what it sends may send for ever."""
        there = Listening(Limits(stream_window=65535, connection_window=65535))
        packet = frame(framed(data_packet.build(1, b"x" * 1000)))
        for _ in range(300):
            there.peer.send(packet, packet)
        self.assertEqual(there.peer.events, [])
        self.assertEqual(len(there.sink.payload[1]), 600 * 1000)

    def test_ended_on_the_way(self) -> None:
        """Nothing is told of a stream after its owner has ended it, in the midst of a read."""
        there = Listening()

        def end(connect_id: int, piece: memoryview | bytes, cost: int) -> int:
            there.peer.wire.end_stream(1, Status.CANCELLED)
            seen.append(connect_id)
            return cost

        seen: list[int] = []
        there.sink.data = end  # type: ignore[method-assign]
        there.peer.send(*(frame(framed(data_packet.build(i, b"x"))) for i in (1, 2, 3)))
        self.assertEqual(seen, [1])
        self.assertEqual(only(there.peer.events, ConnectionEnded), [])

    def test_what_protobuf_reads(self) -> None:
        """A packet with a field more is no plain DATA; it goes on as it came."""
        there = Listening()
        packet = Packet(type=DATA)
        packet.data.connectID, packet.data.data, packet.data.error = 7, b"x" * 9, "why"
        there.peer.send(frame(framed(packet.SerializeToString())))
        self.assertEqual(there.sink.packets, [packet.SerializeToString()])
