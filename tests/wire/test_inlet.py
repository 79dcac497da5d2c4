"""Tests of konnect.wire.inlet: however a stream's bytes are cut, the same packets come out."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.pb.konnect_pb2 import DATA, Packet
from konnect.wire import data_packet, packets
from konnect.wire.framing import CompressedMessage, MessageTooLarge, prefix
from konnect.wire.inlet import PacketInlet

LIMIT = 100_000


def framed(packet: bytes) -> bytes:
    return prefix(len(packet)) + packet


def odd(connect_id: int, payload: bytes) -> bytes:
    """A DATA packet that is legal and not canonical: its type comes last."""
    packet = Packet()
    packet.data.connectID = connect_id
    packet.data.data = payload
    return packet.SerializeToString() + b"\x08\x04"


class Sink:
    """Gives back at once, or nothing; joins a tunnel's pieces."""

    def __init__(self) -> None:
        self.payload: dict[int, bytes] = {}
        self.packets: list[bytes] = []
        self.begun = 0
        self.cost = 0
        self.pieces = 0
        self.give_back = True

    def data(self, connect_id: int, piece: bytes | memoryview, cost: int) -> int:
        assert piece
        self.payload[connect_id] = self.payload.get(connect_id, b"") + piece
        self.begun += cost > len(piece)
        self.cost += cost
        self.pieces += 1
        self.last = piece
        return cost if self.give_back else 0

    def joined(self, packets: int) -> None:
        assert packets > 0
        self.begun += packets

    def packet(self, payload: bytes, cost: int) -> int:
        self.packets.append(payload)
        self.cost += cost
        return cost if self.give_back else 0


MESSAGES = st.lists(
    st.one_of(
        st.builds(data_packet.build, st.integers(1, 300), st.binary(min_size=1, max_size=400)),
        st.builds(odd, st.integers(1, 300), st.binary(max_size=300)),
        st.builds(packets.close_rsp, st.integers(1, 300), st.text(max_size=30)),
        st.binary(max_size=60),
    ),
    max_size=8,
)


class InletTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sink = Sink()
        self.inlet = PacketInlet(self.sink, LIMIT)

    def feed(self, *pieces: bytes) -> int:
        """Each piece is one read."""
        back = 0
        for piece in pieces:
            back += self.inlet.feed(memoryview(piece))
            if self.inlet.waiting:
                back += self.inlet.let_go()
        return back

    @given(MESSAGES, st.lists(st.integers(0, 4000), max_size=12))
    def test_any_split(self, messages: list[bytes], cuts: list[int]) -> None:
        """The payload of canonical DATA arrives whole and in order, every other message as it was
        sent, and each byte of window comes back once, or none if the sink keeps it."""
        expected: dict[int, bytes] = {}
        others = []
        plain = 0
        for message in messages:
            found = data_packet.read(message)
            if found is None:
                others.append(message)
            else:
                plain += 1
                expected[found[0]] = expected.get(found[0], b"") + found[1]
        wire = b"".join(map(framed, messages))
        places = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
        for give_back in (True, False):
            self.setUp()
            self.sink.give_back = give_back
            back = self.feed(*(wire[a:b] for a, b in pairwise(places)))
            self.assertEqual(self.sink.payload, expected)
            self.assertEqual(self.sink.packets, others)
            self.assertEqual(self.sink.cost, len(wire))
            self.assertEqual(back, len(wire) if give_back else 0)
            self.assertEqual((self.inlet.incomplete, self.inlet.midway), (False, False))
            self.assertIsNone(self.inlet.error)

    def test_held(self) -> None:
        """What is kept of a message that has not come whole is counted: all but passed on DATA."""
        plain = framed(data_packet.build(9, b"x" * 300))
        for wire, size, held in ((framed(odd(9, b"x" * 300)), 200, 195), (plain, 4, 4)):
            self.feed(wire[:size])
            self.assertEqual(self.inlet.held, held)
            self.feed(wire[size:])
            self.assertEqual(self.inlet.held, 0)
        self.feed(plain[:200])
        self.assertEqual(self.inlet.held, 0)

    def test_byte_by_byte(self) -> None:
        """A packet that comes a byte at a time is passed on a byte at a time, and counted once."""
        wire = framed(data_packet.build(9, b"x" * 300))
        back = 0
        for index in range(len(wire)):
            back += self.feed(wire[index : index + 1])
            self.assertEqual(self.inlet.incomplete, index + 1 < len(wire))
        self.assertEqual(self.sink.payload, {9: b"x" * 300})
        self.assertEqual(back, len(wire))
        self.assertEqual(self.sink.cost, len(wire))

    def test_passed_on_before_its_end(self) -> None:
        """The first piece of a large packet does not wait for the rest."""
        wire = framed(data_packet.build(9, b"x" * 50_000))
        self.feed(wire[:20_000])
        self.assertEqual(len(self.sink.payload[9]), 20_000 - (len(wire) - 50_000))
        self.assertEqual(self.sink.begun, 1)
        self.feed(wire[20_000:])
        self.assertEqual((self.sink.begun, self.sink.pieces), (1, 2))

    def test_not_copied(self) -> None:
        """What is passed on is a view of what was received."""
        wire = framed(data_packet.build(9, b"x" * 500))
        self.feed(wire)
        self.assertIs(cast(memoryview, self.sink.last).obj, wire)

    def test_large_message_of_another_kind(self) -> None:
        """What is collected is given back as it comes: the window may be smaller than it."""
        packet = odd(3, b"x" * 60_000)
        wire = framed(packet)
        self.assertEqual(self.feed(wire[:40_000]), 40_000)
        self.assertTrue(self.inlet.incomplete)
        self.assertEqual(self.feed(wire[40_000:] + framed(b"")), len(wire) - 40_000 + 5)
        self.assertEqual(self.sink.packets, [packet, b""])

    def test_kept_back(self) -> None:
        """When it is whole, what the sink keeps is taken from what is given later."""
        wire = framed(odd(3, b"x" * 60_000))
        self.sink.give_back = False
        self.assertEqual(self.feed(wire[:40_000]), 40_000)
        self.assertEqual(self.feed(wire[40_000:]), -40_000)

    def test_refused(self) -> None:
        """A compressed or too large message is an error; what came before it was given."""
        good = framed(data_packet.build(1, b"a"))
        for bad, kind in (
            (b"\x01\0\0\0\x01a", CompressedMessage),
            (b"\0\xff\0\0\0", MessageTooLarge),
        ):
            self.setUp()
            self.assertEqual(self.feed(good + bad, good), 2 * len(good) + len(bad))
            self.assertIsInstance(self.inlet.error, kind)
            self.assertEqual(self.sink.payload, {1: b"a"})

    def test_type_of_the_odd_packet(self) -> None:
        """The test's own packet is one that protobuf reads as DATA."""
        self.assertEqual(Packet.FromString(odd(1, b"x")).type, DATA)
