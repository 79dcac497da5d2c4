"""The packets that gRPC messages carry: building, and reading with suspicion.

Stock peers crash on a packet whose type has no matching payload, and read an empty DATA as the end
of the stream. So no builder here makes either, except `no_data` for the one place that wants an
empty DATA, and `parse` lets nothing malformed through.
What a packet means for a tunnel is not decided here.

Source: proto/konnect.proto and upstream's behaviour.
"""

from __future__ import annotations

import enum

from google.protobuf.message import DecodeError

from konnect.pb.konnect_pb2 import Packet as Packet
from konnect.wire import data_packet
from konnect.wire.data_packet import varint

CONNECT_PATH = "/AgentService/Connect"
"""The gRPC method that an agent calls on a proxy."""
PROXY_PATH = "/ProxyService/Proxy"
"""The gRPC method that a client calls on a proxy."""

MAX_PACKET = 4 * 1024 * 1024
"""The largest packet that stock peers accept, in bytes (gRPC's default limit for a message)."""

# type 2 + field tag 1 + its length 4 + connectID 11 at most + data tag 1 + its length 4
_DATA_HEAD = 23

MAX_DATA = MAX_PACKET - _DATA_HEAD
"""The largest payload of a DATA packet that is within `MAX_PACKET` for every connectID."""

_MAX_ERROR_TEXT = 4096


class PacketType(enum.IntEnum):
    """Values of `Packet.type`. A peer may send others; they are to be ignored."""

    DIAL_REQ = 0
    DIAL_RSP = 1
    CLOSE_REQ = 2
    CLOSE_RSP = 3
    DATA = 4
    DIAL_CLS = 5
    DRAIN = 6
    CREDIT = 100
    HALF_CLOSE = 101


DIAL_REQ, DIAL_RSP = PacketType.DIAL_REQ, PacketType.DIAL_RSP
CLOSE_REQ, CLOSE_RSP = PacketType.CLOSE_REQ, PacketType.CLOSE_RSP
DATA, CREDIT, HALF_CLOSE = PacketType.DATA, PacketType.CREDIT, PacketType.HALF_CLOSE
"""Those that every tunnel asks for: a member of an enumeration takes Python 180 ns to find, a
global 10 (measured)."""


# DRAIN is absent on purpose: its payload says nothing, so a DRAIN without it is as good.
_FIELD_OF: dict[int, str] = {
    PacketType.DIAL_REQ: "dialRequest",
    PacketType.DIAL_RSP: "dialResponse",
    PacketType.CLOSE_REQ: "closeRequest",
    PacketType.CLOSE_RSP: "closeResponse",
    PacketType.DATA: "data",
    PacketType.DIAL_CLS: "closeDial",
    PacketType.CREDIT: "credit",
    PacketType.HALF_CLOSE: "halfClose",
}

_LABELLED = 128
NAMES: dict[int, str] = {member.value: member.name for member in PacketType}
"""What `member.name` says, which costs two calls in Python."""


def type_name(value: int) -> str:
    """
    The label value of metrics: the name of a packet type, the decimal text of an unknown one.

    Beyond `_LABELLED` it is `other`, since a peer could otherwise make as many labels as it likes.
    """
    return NAMES.get(value) or (str(value) if 0 <= value < _LABELLED else "other")


class MalformedPacket(ValueError):
    """A message that is no packet, or a packet of a known type without the payload of that type."""

    def __init__(self, text: str, packet_type_name: str) -> None:
        super().__init__(text)
        self.packet_type_name = packet_type_name
        """The type for a metric label; "UNKNOWN" when the bytes are no packet at all."""


def parse(payload: bytes) -> Packet:
    """Read one message. Packets of unknown types are returned as they are.

    Raises `MalformedPacket` for bytes that are not protobuf (invalid UTF-8 in a string included)
    and for a known type without its own payload. A zero-byte message is a DIAL_REQ without payload.
    """
    try:
        packet = Packet.FromString(payload)
    except (DecodeError, UnicodeDecodeError) as error:  # the latter by protobuf without C
        raise MalformedPacket(f"not a packet: {error}", "UNKNOWN") from None
    field = _FIELD_OF.get(packet.type)
    if field is not None and not packet.HasField(field):
        name = NAMES[packet.type]
        carried = packet.WhichOneof("payload")
        text = f"{name} packet without {field}" + (f", with {carried}" if carried else "")
        raise MalformedPacket(text, name)
    return packet


# Builders write the canonical bytes by hand, as protobuf and Go do: as an object of protobuf a
# CLOSE_REQ takes 0.75 us and a DIAL_RSP 0.68, this way 0.2 and 0.3 (measured). What each tunnel
# needs is written in one step, since a call takes as long as all that it would do. Of a tunnel that
# is open the number is written already: in the `data_packet.middle` of its DATA packets.

_SHORT = 0x60
"""A text below this leaves room for the other fields within a length of one byte."""


Random = int | bytes
"""A dial's `random`, or its varint (nothing for 0), which is how packets are read: it is compared
and said again, and nobody counts with it."""


def random_bytes(random: Random) -> bytes:
    """As a varint. Raises ValueError for what is no int64."""
    if type(random) is bytes:
        return random
    assert isinstance(random, int)
    if not -(2**63) <= random < 2**63:
        raise ValueError(f"{random} is no int64")
    return varint(random) if random else b""


def dial_req(protocol: str, address: str, random: Random) -> bytes:
    """A DIAL_REQ. Raises ValueError if `random` is no int64, or a text has a lone surrogate."""
    number = random if type(random) is bytes else random_bytes(random)
    if protocol == "tcp" and number:
        host = address.encode()
        if 0 < (size := len(host)) < _SHORT:
            whole = 8 + size + len(number)
            return b"\x12%c\x0a\x03tcp\x12%c%b\x18%b" % (whole, size, host, number)
    body = _text(b"\x0a", protocol) + _text(b"\x12", address) + _random(number)
    return _packet(b"\x12", body)


def with_random(request: Packet, random: int) -> bytes:
    """A DIAL_REQ with another `random`; what else is in it, also what we do not know, stays."""
    request.dialRequest.random = random
    return request.SerializeToString()


def dial_rsp(random: Random, *, connect_id: int = 0, error: str = "", fault: str = "") -> bytes:
    """A DIAL_RSP: success with a `connect_id`, or failure with an `error` text; a `fault` (why the
    agent itself cannot dial) only to a peer that has announced itself."""
    body = _number(b"\x10", connect_id) + _random(random_bytes(random))
    if error:
        body = _text(b"\x0a", _error_text(error)) + body + _text(b"\xa2\x06", fault)
    return _packet(b"\x08\x01\x1a", body)


def dialled(random: bytes, middle: bytes) -> bytes:
    """A DIAL_RSP: success. `middle`: see above."""
    number = middle[1:-1]
    if not random:
        return b"\x08\x01\x1a%c\x10%b" % (1 + len(number), number)
    return b"\x08\x01\x1a%c\x10%b\x18%b" % (2 + len(number) + len(random), number, random)


def close_req(connect_id: int, error: str = "", middle: bytes = b"") -> bytes:
    """A CLOSE_REQ; an `error` (it was cut, and why) only to a peer that announced half-close.
    `middle`: see above."""
    if connect_id and not error:
        number = middle[1:-1] or varint(connect_id)
        return b"\x08\x02\x2a%c\x08%b" % (1 + len(number), number)
    body = _number(b"\x08", connect_id)
    return _packet(b"\x08\x02\x2a", body + _text(b"\xa2\x06", error) if error else body)


def close_rsp(connect_id: int, error: str = "", middle: bytes = b"") -> bytes:
    """A CLOSE_RSP; an empty `error` is an ordinary end. `middle`: see above."""
    if connect_id and (size := len(error)) < _SHORT and error.isascii():
        number = middle[1:-1] or varint(connect_id)
        if not size:
            return b"\x08\x03\x32%c\x10%b" % (1 + len(number), number)
        whole = 3 + size + len(number)
        return b"\x08\x03\x32%c\x0a%c%b\x10%b" % (whole, size, error.encode(), number)
    body = _number(b"\x10", connect_id)
    return _packet(b"\x08\x03\x32", _text(b"\x0a", _error_text(error)) + body if error else body)


def data(connect_id: int, payload: bytes) -> bytes:
    """A DATA packet. Raises ValueError for an empty payload and for one above `MAX_DATA` bytes."""
    if not payload:
        raise ValueError("a DATA packet without bytes would end the stream at a Go client")
    if len(payload) > MAX_DATA:
        raise ValueError(f"{len(payload)} bytes in one DATA packet, at most {MAX_DATA} are allowed")
    return data_packet.build(connect_id, payload)


def no_data(connect_id: int) -> bytes:
    """A DATA packet without bytes, which asks a stock proxy whether it waits for a client (see
    `konnect.agent.unblocking`); never to be sent where it may reach one that reads."""
    return _packet(data_packet.TYPE_AND_TAG, _number(b"\x08", connect_id))


def dial_cls(random: Random) -> bytes:
    """A DIAL_CLS."""
    number = random_bytes(random)
    return _packet(b"\x08\x05\x3a", b"\x08" + number if number else b"")


def credit(connect_id: int, increment: int) -> bytes:
    """A CREDIT: the peer may send so many bytes more (below 0: less). Only to one that announced
    credit."""
    body = _number(b"\x08", connect_id) + _number(b"\x10", increment)
    return _packet(b"\x08\x64\xa2\x06", body)


def half_close(connect_id: int) -> bytes:
    """A HALF_CLOSE: no more DATA of ours on this tunnel. Only to a peer that announced it."""
    return _packet(b"\x08\x65\xaa\x06", _number(b"\x08", connect_id))


def drain() -> bytes:
    """A DRAIN."""
    return _packet(b"\x08\x06\x42", b"")


def _packet(lead: bytes, body: bytes) -> bytes:
    """`lead`: the type, and the tag of its payload."""
    size = len(body)
    if size < 0x80:
        return b"%b%c%b" % (lead, size, body)
    return lead + varint(size) + body


def _random(number: bytes) -> bytes:
    return b"\x18" + number if number else b""


def _number(tag: bytes, value: int) -> bytes:
    return tag + varint(value) if value else b""


def _text(tag: bytes, text: str) -> bytes:
    if not text:
        return b""
    encoded = text.encode()
    size = len(encoded)
    return b"%b%c%b" % (tag, size, encoded) if size < 0x80 else tag + varint(size) + encoded


def _error_text(text: str) -> str:
    # Texts may hold what came from elsewhere: protobuf refuses lone surrogates, and nobody needs a
    # long one.
    if len(text) <= _MAX_ERROR_TEXT and text.isascii():
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > _MAX_ERROR_TEXT:
        encoded = encoded[:_MAX_ERROR_TEXT]
    return encoded.decode("utf-8", "ignore")
