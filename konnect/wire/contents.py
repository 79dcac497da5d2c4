"""What a packet says, as plain values: read by hand where it is as all peers write it.

A tunnel's beginning and end are four control packets at each half (eight at a proxy whose client
speaks gRPC). As objects of protobuf, looked at field by field, they took a tenth of what a tunnel
costs an agent outside the kernel, and nearly as much of a proxy. Only the canonical form, with
lengths of one byte, is read here; whatever else a peer sends, however legal, is left to protobuf,
which also says what is malformed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from konnect.wire import packets
from konnect.wire.data_packet import CONNECT_ID
from konnect.wire.packets import (
    CLOSE_REQ,
    CLOSE_RSP,
    DIAL_REQ,
    DIAL_RSP,
    Packet,
    PacketType,
    random_bytes,
)

Contents = tuple[int, tuple[Any, ...]]
"""A packet's type, and the values of its payload:

    DIAL_REQ      protocol, address, random, the `Packet` if there may be more in it, else None
    DIAL_RSP      random, connectID, error, fault
    CLOSE_REQ     connectID, error
    CLOSE_RSP     connectID, error
    DATA          connectID, bytes
    DIAL_CLS      random
    CREDIT        connectID, increment
    HALF_CLOSE    connectID
    others        nothing

A `random` is left as it came, as the bytes of its canonical varint (`packets.Random`): Go's clients
choose them of 63 bits, which took 0.9 us to read and to write (measured).
"""

_DIAL_REQ = 0x12
_PROTOCOL = b"\x0a\x03tcp\x12"
"""The first field of a DIAL_REQ, and the tag of the second."""

_RANDOM = 0x18
_ERROR = 0x0A
_CLOSED_ID = 0x10
_DIALLED_ID = 0x10
"""Tags of fields, where they differ from packet to packet."""

_LONGEST = 0x80
"""From so many bytes on a length takes two."""

_is_random = re.compile(rb"[\x80-\xff]{0,8}[\x01-\x7f]").fullmatch
"""Whether bytes are one varint, canonical, above 0 and an int64."""

_Reader = Callable[[bytes], Contents | None]


def read(payload: bytes) -> Contents:
    """Type and values. Raises `MalformedPacket`, as `packets.parse` does."""
    try:
        reader = _dial_req if payload[0] == _DIAL_REQ else _READERS.get(payload[:3])
        contents = None if reader is None else reader(payload)
    except (IndexError, UnicodeDecodeError):
        contents = None
    if contents is not None:
        return contents
    packet = packets.parse(payload)
    values = _VALUES.get(packet.type)
    return packet.type, () if values is None else values(packet)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """The varint at `at`, and what is behind it. 0 where the canonical form has no number, and for
    what is below 0."""
    value = data[at]
    if value > 0x7F:
        # Each bit that says "more follows" is taken off with the next byte.
        value += (data[at + 1] - 1) << 7
        if value > 0x3FFF:
            value += (data[at + 2] - 1) << 14
            if value > 0x1FFFFF:
                value += (data[at + 3] - 1) << 21
                if value > 0xFFFFFFF:
                    more, stop = _number(data, at + 4)
                    return (value + ((more - 1) << 28) if stop - at < 10 else 0), stop
                return value, at + 4
            return value, at + 3
        return value, at + 2
    return value, at + 1


def _dial_req(payload: bytes) -> Contents | None:
    size = payload[1]
    if size >= _LONGEST or size + 2 != len(payload) or payload[2:8] != _PROTOCOL:
        return None
    end = 9 + payload[8]
    if payload[end] != _RANDOM:
        return None
    random = payload[end + 1 :]
    if not _is_random(random):
        return None
    return DIAL_REQ, ("tcp", payload[9:end].decode(), random, None)


def _dial_rsp(payload: bytes) -> Contents | None:
    size = payload[3]
    if size >= _LONGEST or size + 4 != len(payload) or payload[4] != _DIALLED_ID:
        return None
    connect_id, at = _number(payload, 5)
    if not connect_id or payload[at] != _RANDOM:
        return None
    random = payload[at + 1 :]
    if not _is_random(random):
        return None
    return DIAL_RSP, (random, connect_id, "", "")


def _close_req(payload: bytes) -> Contents | None:
    size = payload[3]
    if size >= _LONGEST or size + 4 != len(payload) or payload[4] != CONNECT_ID:
        return None
    connect_id, stop = _number(payload, 5)
    if not connect_id or stop != len(payload):
        return None
    return CLOSE_REQ, (connect_id, "")


def _close_rsp(payload: bytes) -> Contents | None:
    size = payload[3]
    if size >= _LONGEST or size + 4 != len(payload):
        return None
    at, error = 4, ""
    if payload[at] == _ERROR:
        at = 6 + payload[5]
        error = payload[6:at].decode()
    if payload[at] != _CLOSED_ID:
        return None
    connect_id, stop = _number(payload, at + 1)
    if not connect_id or stop != len(payload):
        return None
    return CLOSE_RSP, (connect_id, error)


_READERS: dict[bytes, _Reader] = {
    b"\x08\x01\x1a": _dial_rsp,
    b"\x08\x02\x2a": _close_req,
    b"\x08\x03\x32": _close_rsp,
}
"""By a packet's type and the tag of that type's payload."""


def _dial_req_values(packet: Packet) -> tuple[Any, ...]:
    request = packet.dialRequest
    return request.protocol, request.address, random_bytes(request.random), packet


def _dial_rsp_values(packet: Packet) -> tuple[Any, ...]:
    response = packet.dialResponse
    random = random_bytes(response.random)
    return random, response.connectID, response.error, response.fault


_VALUES: dict[int, Callable[[Packet], tuple[Any, ...]]] = {
    PacketType.DIAL_REQ: _dial_req_values,
    PacketType.DIAL_RSP: _dial_rsp_values,
    PacketType.CLOSE_REQ: lambda it: (it.closeRequest.connectID, it.closeRequest.error),
    PacketType.CLOSE_RSP: lambda it: (it.closeResponse.connectID, it.closeResponse.error),
    PacketType.DATA: lambda it: (it.data.connectID, it.data.data),
    PacketType.DIAL_CLS: lambda it: (random_bytes(it.closeDial.random),),
    PacketType.CREDIT: lambda it: (it.credit.connectID, it.credit.increment),
    PacketType.HALF_CLOSE: lambda it: (it.halfClose.connectID,),
}
