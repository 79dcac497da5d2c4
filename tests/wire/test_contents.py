"""Tests of konnect.wire.contents: by hand or by protobuf, the same is read."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.pb.konnect_pb2 import Packet
from konnect.wire import contents, packets
from konnect.wire.contents import Contents
from konnect.wire.packets import MalformedPacket, random_bytes

INT64 = st.one_of(
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.integers(min_value=0, max_value=2**30),
    st.sampled_from([0x7F, 0x80, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000, 0xFFFFFFF, 0x10000000]),
)
TEXT = st.text(max_size=140)

ONE_OF_EACH = [
    packets.dial_req("tcp", "127.0.0.1:443", 300),
    packets.dial_rsp(300, connect_id=70000),
    packets.dial_rsp(300, error="refused", fault="no_descriptors"),
    packets.close_req(70000),
    packets.close_req(70000, "overloaded"),
    packets.close_rsp(70000),
    packets.close_rsp(70000, "client_closed"),
    packets.data(5, b"abc"),
    packets.dial_cls(4),
    packets.drain(),
    packets.credit(3, -9),
    packets.half_close(8),
]


def by_protobuf(payload: bytes) -> Contents:
    """What the module's table says, without what it reads by hand. Raises MalformedPacket."""
    packet = packets.parse(payload)
    request, response = packet.dialRequest, packet.dialResponse
    said = {
        0: (request.protocol, request.address, random_bytes(request.random)),
        1: (
            random_bytes(response.random),
            response.connectID,
            response.error,
            response.fault,
        ),
        2: (packet.closeRequest.connectID, packet.closeRequest.error),
        3: (packet.closeResponse.connectID, packet.closeResponse.error),
        4: (packet.data.connectID, packet.data.data),
        5: (random_bytes(packet.closeDial.random),),
        100: (packet.credit.connectID, packet.credit.increment),
        101: (packet.halfClose.connectID,),
    }
    return packet.type, said.get(packet.type, ())


class ReadTests(SynchronousTestCase):
    def same(self, payload: bytes) -> None:
        """Both ways say the same of `payload`."""
        try:
            kind, values = contents.read(payload)
        except MalformedPacket:
            with self.assertRaises(MalformedPacket):
                by_protobuf(payload)
            return
        if kind == packets.DIAL_REQ:
            whole = values[3]
            self.assertEqual((kind, values[:3]), by_protobuf(payload))
            if whole is None:
                # There is nothing in it that a new packet would not have.
                self.assertEqual(
                    len(packets.dial_req(*values[:3])), Packet.ByteSize(packets.parse(payload))
                )
            else:
                self.assertEqual(whole, packets.parse(payload))
        else:
            self.assertEqual((kind, values), by_protobuf(payload))

    def test_by_hand(self) -> None:
        """The packets of a tunnel's usual beginning and end do not become objects of protobuf."""
        self.patch(packets, "parse", None)
        read = contents.read
        for number in (1, 127, 128, 2**14, 2**21, 2**28, 2**63 - 1):
            random = random_bytes(number)
            self.assertEqual(
                read(packets.dial_req("tcp", "[::1]:443", number)),
                (0, ("tcp", "[::1]:443", random, None)),
            )
            self.assertEqual(
                read(packets.dial_rsp(number, connect_id=128)), (1, (random, 128, "", ""))
            )
            self.assertEqual(read(packets.close_req(number)), (2, (number, "")))
            self.assertEqual(read(packets.close_rsp(number)), (3, (number, "")))
            self.assertEqual(read(packets.close_rsp(number, "lost")), (3, (number, "lost")))

    def test_one_of_each(self) -> None:
        """Whole, cut anywhere, with a byte changed anywhere, and with something behind."""
        for payload in ONE_OF_EACH:
            self.same(payload)
            self.same(payload + b"\xfa\x01\x03new")
            for at in range(len(payload)):
                self.same(payload[:at])
                for byte in (0x00, 0x01, 0x08, 0x10, 0x12, 0x18, 0x7F, 0x80, 0xFF):
                    self.same(payload[:at] + bytes((byte,)) + payload[at + 1 :])

    def test_numbers_with_more_bytes_than_they_need(self) -> None:
        """Are numbers all the same, and too many bytes are none."""
        for number in (b"\x81\x00", b"\x81\x80\x00", b"\x81\x80\x80\x00", b"\x81\x80\x80\x80\x00"):
            for lead, tag in (
                (b"\x08\x02\x2a", b"\x08"),
                (b"\x08\x03\x32", b"\x10"),
                (b"\x12", b"\x0a\x03tcp\x12\x03a:1\x18"),
                (b"\x08\x01\x1a", b"\x10\x05\x18"),
            ):
                body = tag + number
                self.same(lead + bytes((len(body),)) + body)
                self.same(lead + bytes((len(body) + 2,)) + body + b"\x20\x01")
        for more in range(6, 13):
            body = b"\x08" + b"\x80" * more + b"\x01"
            self.same(b"\x08\x02\x2a" + bytes((len(body),)) + body)

    @given(TEXT, TEXT, INT64, INT64)
    @example("tcp", "x" * 100, 1, 1)
    def test_what_we_build(self, protocol: str, text: str, random: int, connect_id: int) -> None:
        """Any values."""
        for payload in (
            packets.dial_req(protocol, text, random),
            packets.dial_req("tcp", text, random),
            packets.dial_rsp(random, connect_id=connect_id, error=text),
            packets.dial_rsp(random, connect_id=connect_id),
            packets.close_req(connect_id, text),
            packets.close_rsp(connect_id, text),
            packets.credit(connect_id, random),
        ):
            self.same(payload)

    @given(
        st.sampled_from([b"\x12", b"\x08\x01\x1a", b"\x08\x02\x2a", b"\x08\x03\x32"]),
        st.binary(max_size=40),
    )
    def test_any_bytes(self, lead: bytes, body: bytes) -> None:
        """Behind a known beginning."""
        self.same(lead + bytes((len(body),)) + body)
        self.same(lead + body)
