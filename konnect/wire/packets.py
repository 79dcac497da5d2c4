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

from konnect.pb import konnect_pb2
from konnect.pb.konnect_pb2 import Data
from konnect.pb.konnect_pb2 import Packet as Packet
from konnect.wire import data_packet

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


def dial_request(protocol: str, address: str, random: int = 0) -> Packet:
    """A DIAL_REQ as an object, for whoever fills in the rest. Raises ValueError if `random` is no
    int64."""
    packet = Packet()
    request = packet.dialRequest
    request.SetInParent()
    request.protocol = protocol
    request.address = address
    request.random = random
    return packet


def dial_req(protocol: str, address: str, random: int) -> bytes:
    """A DIAL_REQ. Raises ValueError if `random` is no int64."""
    return dial_request(protocol, address, random).SerializeToString()


def dial_rsp(random: int, *, connect_id: int = 0, error: str = "", fault: str = "") -> bytes:
    """A DIAL_RSP: success with a `connect_id`, or failure with an `error` text; a `fault` (why the
    agent itself cannot dial) only to a peer that has announced itself."""
    packet = Packet(type=konnect_pb2.DIAL_RSP)
    response = packet.dialResponse
    response.SetInParent()
    response.random = random
    response.connectID = connect_id
    if error:
        response.error = _error_text(error)
        response.fault = fault
    return packet.SerializeToString()


def close_req(connect_id: int, error: str = "") -> bytes:
    """A CLOSE_REQ; an `error` (it was cut, and why) only to a peer that announced half-close."""
    packet = Packet(type=konnect_pb2.CLOSE_REQ)
    packet.closeRequest.SetInParent()
    packet.closeRequest.connectID = connect_id
    packet.closeRequest.error = error
    return packet.SerializeToString()


def close_rsp(connect_id: int, error: str = "") -> bytes:
    """A CLOSE_RSP; an empty `error` is an ordinary end."""
    packet = Packet(type=konnect_pb2.CLOSE_RSP)
    response = packet.closeResponse
    response.SetInParent()
    response.connectID = connect_id
    if error:
        response.error = _error_text(error)
    return packet.SerializeToString()


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
    return Packet(type=konnect_pb2.DATA, data=Data(connectID=connect_id)).SerializeToString()


def dial_cls(random: int) -> bytes:
    """A DIAL_CLS."""
    packet = Packet(type=konnect_pb2.DIAL_CLS)
    packet.closeDial.SetInParent()
    packet.closeDial.random = random
    return packet.SerializeToString()


def credit(connect_id: int, increment: int) -> bytes:
    """A CREDIT: the peer may send so many bytes more (below 0: less). Only to one that announced
    credit."""
    packet = Packet(type=konnect_pb2.CREDIT)
    packet.credit.connectID = connect_id
    packet.credit.increment = increment
    return packet.SerializeToString()


def half_close(connect_id: int) -> bytes:
    """A HALF_CLOSE: no more DATA of ours on this tunnel. Only to a peer that announced it."""
    packet = Packet(type=konnect_pb2.HALF_CLOSE)
    packet.halfClose.SetInParent()
    packet.halfClose.connectID = connect_id
    return packet.SerializeToString()


def drain() -> bytes:
    """A DRAIN."""
    packet = Packet(type=konnect_pb2.DRAIN)
    packet.drain.SetInParent()
    return packet.SerializeToString()


def _error_text(text: str) -> str:
    # Texts may hold what came from elsewhere: protobuf refuses lone surrogates, and nobody needs a
    # long one.
    if len(text) <= _MAX_ERROR_TEXT and text.isascii():
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > _MAX_ERROR_TEXT:
        encoded = encoded[:_MAX_ERROR_TEXT]
    return encoded.decode("utf-8", "ignore")
