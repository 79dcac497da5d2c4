"""Tests of konnect.wire.packets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import konnect
from konnect.pb import konnect_pb2
from konnect.pb.konnect_pb2 import Packet
from konnect.wire import data_packet, packets
from konnect.wire.packets import MAX_DATA, MAX_PACKET, MalformedPacket, PacketType

INT64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)
BUILT = {
    PacketType.DIAL_REQ: packets.dial_req("", "", 0),
    PacketType.DIAL_RSP: packets.dial_rsp(0),
    PacketType.CLOSE_REQ: packets.close_req(0),
    PacketType.CLOSE_RSP: packets.close_rsp(0),
    PacketType.DATA: packets.data(0, b"x"),
    PacketType.DIAL_CLS: packets.dial_cls(0),
    PacketType.DRAIN: packets.drain(),
    PacketType.CREDIT: packets.credit(0, 1),
    PacketType.HALF_CLOSE: packets.half_close(0),
}


def varint(value: int) -> bytes:
    """Protobuf's base 128 encoding."""
    low = bytes((value & 0x7F | (0x80 if value > 0x7F else 0),))
    return low + varint(value >> 7) if value > 0x7F else low


class BuilderTests(SynchronousTestCase):
    def test_bytes_of_a_dial(self) -> None:
        """A dial is, byte for byte, what stock clients send: the type is absent."""
        self.assertEqual(
            packets.dial_req("tcp", "1.2.3.4:5", 300),
            b"\x12\x13\x0a\x03tcp\x12\x091.2.3.4:5\x18\xac\x02",
        )

    def test_bytes_of_the_others(self) -> None:
        """Types and field numbers are the protocol's."""
        self.assertEqual(packets.dial_rsp(3, connect_id=2), b"\x08\x01\x1a\x04\x10\x02\x18\x03")
        self.assertEqual(packets.dial_rsp(3, error="e"), b"\x08\x01\x1a\x05\x0a\x01e\x18\x03")
        self.assertEqual(packets.close_req(1), b"\x08\x02\x2a\x02\x08\x01")
        self.assertEqual(packets.close_rsp(1, "e"), b"\x08\x03\x32\x05\x0a\x01e\x10\x01")
        self.assertEqual(packets.data(1, b"ab"), b"\x08\x04\x22\x06\x08\x01\x1a\x02ab")
        self.assertEqual(packets.dial_cls(9), b"\x08\x05\x3a\x02\x08\x09")
        self.assertEqual(packets.drain(), b"\x08\x06\x42\x00")

    def test_bytes_of_our_own(self) -> None:
        """Credit and half-close are types and fields 100 and 101, far from upstream's."""
        self.assertEqual(packets.credit(1, 2), b"\x08\x64\xa2\x06\x04\x08\x01\x10\x02")
        self.assertEqual(packets.half_close(1), b"\x08\x65\xaa\x06\x02\x08\x01")

    def test_payload_is_always_there(self) -> None:
        """Every packet carries the payload of its type, also when all its fields are zero."""
        for kind, built in BUILT.items():
            packet = packets.parse(built)
            self.assertEqual(packet.type, kind)
            self.assertIsNotNone(packet.WhichOneof("payload"), kind)

    @given(st.text(), st.text(), INT64, INT64)
    def test_round_trip(self, protocol: str, address: str, random: int, connect_id: int) -> None:
        """What is built is what is read."""
        request = packets.parse(packets.dial_req(protocol, address, random)).dialRequest
        self.assertEqual(
            (request.protocol, request.address, request.random), (protocol, address, random)
        )
        response = packets.parse(packets.dial_rsp(random, connect_id=connect_id, error=address))
        self.assertEqual(response.dialResponse.connectID, connect_id)
        self.assertEqual(response.dialResponse.error, address)
        self.assertEqual(packets.parse(packets.data(connect_id, b"x")).data.connectID, connect_id)

    @given(st.text(max_size=200), INT64, INT64)
    def test_as_protobuf_writes_them(self, text: str, random: int, connect_id: int) -> None:
        """Byte for byte, whatever the values; protobuf has its own order for what is unknown."""
        self._check(text, random, connect_id)

    def test_as_protobuf_writes_texts_of_any_length(self) -> None:
        """Also where a length begins to take two bytes, of a text or of the whole."""
        for size in range(0x70, 0x90):
            self._check("a" * (size - 0x20), -1, -1)
            self._check("a" * size, 1, 1)
            self._check("\u00fc" * (size // 2), -1, -1)

    def _check(self, text: str, random: int, connect_id: int) -> None:
        for raw in (
            packets.dial_req(text, text, random),
            packets.dial_req("tcp", text, random),
            packets.dial_rsp(random, connect_id=connect_id, error=text, fault=text),
            packets.dial_rsp(random, connect_id=connect_id),
            packets.close_req(connect_id, text),
            packets.close_req(connect_id),
            packets.close_rsp(connect_id, text),
            packets.dial_cls(random),
            packets.credit(connect_id, random),
            packets.half_close(connect_id),
            packets.no_data(connect_id),
            packets.drain(),
        ):
            packet = packets.parse(raw)
            again = Packet()
            again.CopyFrom(packet)
            self.assertEqual(again.SerializeToString(deterministic=True), raw)

    @given(st.text(max_size=200), INT64, INT64)
    def test_of_an_open_tunnel(self, text: str, random: int, connect_id: int) -> None:
        """What goes before its DATA has its number in it, which changes no byte."""
        middle = data_packet.middle(connect_id)
        for builder in (packets.close_req, packets.close_rsp):
            for error in ("", text):
                raw = builder(connect_id, error)
                self.assertEqual(builder(connect_id, error, middle), raw)
        if connect_id:
            raw = packets.dial_rsp(random, connect_id=connect_id)
            self.assertEqual(packets.dialled(packets.random_bytes(random), middle), raw)

    def test_numbers_are_int64(self) -> None:
        """A larger random is refused, as protobuf does."""
        for random in (2**63, -(2**63) - 1):
            with self.assertRaises(ValueError):
                packets.dial_req("tcp", "a:1", random)

    def test_another_random(self) -> None:
        """Only the random of a relayed DIAL_REQ changes."""
        raw = packets.dial_req("udp", "a:1", 5) + b"\xfa\x01\x03new"
        again = packets.with_random(packets.parse(raw), 300)
        self.assertEqual(again, packets.dial_req("udp", "a:1", 300) + b"\xfa\x01\x03new")

    def test_no_empty_data(self) -> None:
        """A DATA packet without bytes cannot be made."""
        with self.assertRaises(ValueError):
            packets.data(1, b"")

    def test_largest_data(self) -> None:
        """The largest DATA is within 4 MiB for every connectID; no larger one can be made."""
        payload = b"x" * MAX_DATA
        for connect_id in (0, 1, 2**63 - 1, -1):
            self.assertLessEqual(len(packets.data(connect_id, payload)), MAX_PACKET)
        self.assertEqual(len(packets.data(-1, payload)), MAX_PACKET)
        with self.assertRaises(ValueError):
            packets.data(1, payload + b"x")

    def test_error_texts_are_cut(self) -> None:
        """Texts over 4 KiB are cut at a whole character; what is no UTF-8 is replaced."""
        error = packets.parse(packets.close_rsp(1, "ü" * 5000)).closeResponse.error
        self.assertEqual(error, "ü" * 2048)
        error = packets.parse(packets.dial_rsp(1, error="aé" * 3000)).dialResponse.error
        self.assertLessEqual(len(error.encode()), 4096)
        self.assertEqual(packets.parse(packets.close_rsp(1, "\ud800")).closeResponse.error, "?")


class ParseTests(SynchronousTestCase):
    def test_type_without_its_payload(self) -> None:
        """Each known type without a payload, or with another type's, is malformed."""
        for kind in PacketType:
            if kind is PacketType.DRAIN:
                continue
            bare = bytes((8, kind))
            for other, built in BUILT.items():
                if other is kind:
                    continue
                for raw in (bare, built + bare):
                    with self.assertRaises(MalformedPacket) as caught:
                        packets.parse(raw)
                    self.assertEqual(caught.exception.packet_type_name, kind.name)
                    self.assertIn(kind.name, str(caught.exception))

    def test_empty_message(self) -> None:
        """A message of no bytes is a DIAL_REQ without payload."""
        with self.assertRaises(MalformedPacket) as caught:
            packets.parse(b"")
        self.assertEqual(str(caught.exception), "DIAL_REQ packet without dialRequest")

    def test_drain_needs_no_payload(self) -> None:
        """The payload of DRAIN says nothing; without it the packet is as good."""
        self.assertEqual(packets.parse(b"\x08\x06").type, PacketType.DRAIN)

    def test_unknown_type(self) -> None:
        """Types that nobody knows pass, with the payload of a known one or with none."""
        for value in (7, 99, 102, 2**31 - 1):
            raw = packets.data(1, b"x") + b"\x08" + varint(value)
            self.assertEqual(packets.parse(raw).type, value)
        self.assertEqual(packets.parse(b"\x08\x63").type, 99)

    def test_unknown_fields_pass(self) -> None:
        """Fields of a later version do not disturb, and survive being passed on."""
        raw = packets.close_req(1) + b"\xc2\x0c\x02hi"
        packet = packets.parse(raw)
        self.assertEqual(packet.closeRequest.connectID, 1)
        self.assertEqual(packet.SerializeToString(), raw)

    def test_not_protobuf(self) -> None:
        """Bytes that are no protobuf are malformed, as are strings that are no UTF-8."""
        for raw in (b"\xff", b"\x12\x05abc", b"GET / HTTP/1.1\r\n", b"\x12\x03\x0a\x01\xff"):
            with self.assertRaises(MalformedPacket) as caught:
                packets.parse(raw)
            self.assertEqual(caught.exception.packet_type_name, "UNKNOWN")

    def test_protobuf_without_c(self) -> None:
        """Where protobuf has no wheel of C for the platform, it says otherwise what is no UTF-8."""
        code = (
            "from konnect.wire import packets\n"
            "try: packets.parse(b'\\x12\\x03\\x0a\\x01\\xff')\n"
            "except packets.MalformedPacket: print('malformed')"
        )
        environment = os.environ | {
            "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
            "PYTHONPATH": str(Path(konnect.__file__).parent.parent),
        }
        ran = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual((ran.stdout, ran.stderr), ("malformed\n", ""))

    @given(st.binary(max_size=60))
    def test_any_bytes(self, raw: bytes) -> None:
        """Any bytes are either a packet or malformed."""
        try:
            packet = packets.parse(raw)
        except MalformedPacket:
            return
        self.assertIsInstance(packet, Packet)

    def test_type_names(self) -> None:
        """Known types have names, others are written as numbers."""
        self.assertEqual(packets.type_name(0), "DIAL_REQ")
        self.assertEqual(packets.type_name(6), "DRAIN")
        self.assertEqual(packets.type_name(99), "99")

    def test_type_names_are_few(self) -> None:
        """A peer cannot make any number of names by sending any number of types."""
        self.assertEqual(packets.type_name(127), "127")
        for value in (128, 2**31 - 1, -1, -(2**31)):
            self.assertEqual(packets.type_name(value), "other")

    def test_the_generated_enum_is_the_same(self) -> None:
        """`PacketType` and the generated enumeration agree."""
        self.assertEqual(
            {member.name: member.value for member in PacketType},
            dict(konnect_pb2.PacketType.items()),
        )
