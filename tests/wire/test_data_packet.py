"""Tests of konnect.wire.data_packet."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.pb.konnect_pb2 import DATA, Packet
from konnect.wire import data_packet

INT64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)
SIZES = (1, 0x7F, 0x80, 0x3FFF, 0x4000, 65536, 2**21)


def by_protobuf(connect_id: int, payload: bytes) -> bytes:
    """The same packet, made by protobuf."""
    packet = Packet(type=DATA)
    packet.data.connectID = connect_id
    packet.data.data = payload
    return packet.SerializeToString()


class DataPacketTests(SynchronousTestCase):
    @given(INT64, st.binary(min_size=1, max_size=300))
    def test_same_bytes_as_protobuf(self, connect_id: int, payload: bytes) -> None:
        """What is built is what protobuf builds, for every id."""
        self.assertEqual(data_packet.build(connect_id, payload), by_protobuf(connect_id, payload))

    def test_lengths_at_their_borders(self) -> None:
        """Lengths of one to four bytes are written and read alike."""
        for size in SIZES:
            payload = b"x" * size
            packet = data_packet.build(300, payload)
            self.assertEqual(packet, by_protobuf(300, payload))
            self.assertEqual(data_packet.read(packet), (300, payload))

    @given(INT64, st.binary(min_size=1, max_size=300), st.integers(1, 310))
    def test_cut(self, connect_id: int, data: bytes, most: int) -> None:
        """Every piece is a packet as it would be built alone; one that fits is not touched."""
        run = data_packet.cut(data_packet.middle(connect_id), data, most)
        pieces = [data[start : start + most] for start in range(0, len(data), most)]
        self.assertEqual(
            [head + payload for head, payload in run],
            [data_packet.build(connect_id, piece) for piece in pieces],
        )
        if len(data) <= most:
            self.assertIs(run[0][1], data)

    @given(st.integers(min_value=1, max_value=2**63 - 1), st.binary(min_size=1, max_size=300))
    def test_reads_what_protobuf_builds(self, connect_id: int, payload: bytes) -> None:
        """A canonical packet is read without protobuf."""
        self.assertEqual(data_packet.read(by_protobuf(connect_id, payload)), (connect_id, payload))

    @given(st.binary(max_size=80))
    def test_never_wrong_about_anything_else(self, tail: bytes) -> None:
        """Whatever follows a DATA packet's first bytes: it is read as protobuf reads it, or not."""
        packet = b"\x08\x04\x22" + tail
        found = data_packet.read(packet)
        if found is not None:
            parsed = Packet.FromString(packet)
            self.assertEqual(found, (parsed.data.connectID, parsed.data.data))
            self.assertEqual(parsed.type, DATA)

    @given(st.binary(max_size=12), st.binary(max_size=12))
    @example(b"\x03\x08\x01\x1a", b"\x80")
    def test_what_is_behind(self, tail: bytes, behind: bytes) -> None:
        """What follows a packet is never taken for a part of it."""
        packet = b"\x08\x04\x22" + tail
        try:
            found = data_packet.read_head(packet + behind, 0, len(packet))
        except IndexError:
            found = None
        self.assertEqual(found and (found[0], packet[found[1] :]), data_packet.read(packet))

    def test_other_forms_are_left_to_protobuf(self) -> None:
        """Truncated, empty, without id, with trailing fields or another order: not read here."""
        good = data_packet.build(7, b"abc")
        for size in range(len(good)):
            self.assertIsNone(data_packet.read(good[:size]))
        for other in (
            by_protobuf(7, b""),
            by_protobuf(0, b"abc"),
            by_protobuf(-1, b"abc"),
            good + b"\x08\x04",
            b"\x22\x07\x08\x07\x1a\x03abc\x08\x04",
            b"\x08\x04\x22\x07\x1a\x03abc\x08\x07",
            b"\x08\x04\x22\x0f\x08" + b"\x80" * 10 + b"\x01\x1a\x01a",
        ):
            self.assertIsNone(data_packet.read(other), other)
