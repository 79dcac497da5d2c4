"""HTTP/2 frames as bytes: their heads, the few that are made or read here (the rest is h2's), and
the error for a peer that breaks the rules. RFC 9113 sections 4.1 and 6.
"""

from __future__ import annotations

from struct import Struct

from konnect.wire.status import ErrorCode

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

HEAD_SIZE = 9
HEAD = Struct("!HBBBI")
_GOAWAY_BODY = Struct("!II")

DATA = 0x0
HEADERS = 0x1
RST_STREAM = 0x3
SETTINGS = 0x4
PUSH_PROMISE = 0x5
PING = 0x6
GOAWAY = 0x7
WINDOW_UPDATE = 0x8
CONTINUATION = 0x9

END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
ACK = 0x1
STREAM_MASK = 0x7FFFFFFF


SMALLEST_LIMIT = 16384
"""Bytes of a frame that no peer may refuse (RFC 9113 section 6.5.2)."""


class ProtocolViolation(Exception):
    """The peer broke HTTP/2: a connection error. `code` is the `ErrorCode` for the GOAWAY."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def data_head(stream_id: int, length: int) -> bytes:
    """The head of a DATA frame that does not end its stream."""
    return HEAD.pack(length >> 8, length & 0xFF, DATA, 0, stream_id)


def window_update(stream_id: int, increment: int) -> bytes:
    """A whole WINDOW_UPDATE frame."""
    return HEAD.pack(0, 4, WINDOW_UPDATE, 0, stream_id) + increment.to_bytes(4)


def end_of_data(stream_id: int) -> bytes:
    """An empty DATA frame that ends its stream: what h2 is shown of one that carried payload."""
    return HEAD.pack(0, 0, DATA, END_STREAM, stream_id)


def goaway(last_stream_id: int, code: int, debug: bytes) -> bytes:
    """A whole GOAWAY frame."""
    body = _GOAWAY_BODY.pack(last_stream_id, code) + debug
    return HEAD.pack(len(body) >> 8, len(body) & 0xFF, GOAWAY, 0, 0) + body


def parse_goaway(body: memoryview) -> tuple[int, int, bytes]:
    """The last stream id, error code and debug data of a GOAWAY's body.

    Raises `ProtocolViolation`.
    """
    if len(body) < _GOAWAY_BODY.size:
        raise ProtocolViolation(ErrorCode.FRAME_SIZE_ERROR, "a GOAWAY frame that is too short")
    last_stream_id, code = _GOAWAY_BODY.unpack_from(body)
    return last_stream_id & STREAM_MASK, code, bytes(body[_GOAWAY_BODY.size :])
