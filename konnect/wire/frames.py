"""The outermost layer of HTTP/2: the connection preface, and where one frame ends.

`FrameSplitter` cuts the received bytes at frame boundaries, so that every frame's events are known
before the next frame is looked at, and takes out the frames that h2 must not see. At present that
is GOAWAY: h2 takes it for the end of everything, while RFC 9113 section 6.8 lets live streams go on
after it, which is what draining is made of. Frames that are too long are refused by their head,
before a byte of their body is kept. What frames mean is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from konnect.wire.status import ErrorCode

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

HEAD_SIZE = 9
_HEAD = Struct("!HBBBI")
_GOAWAY_BODY = Struct("!II")

SETTINGS = 0x4
GOAWAY = 0x7
_ACK = 0x1
_STREAM_MASK = 0x7FFFFFFF

_HTTP1 = (b"HTTP/", b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ")
_TLS = (b"\x16\x03", b"\x15\x03")
_SHOWN = 24


class ProtocolViolation(Exception):
    """The peer broke HTTP/2: a connection error. `code` is the `ErrorCode` for the GOAWAY."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class FrameSplitter:
    """Cuts one direction of a connection into frames, given its bytes in any pieces."""

    __slots__ = ("_left", "_max_frame", "_preface", "_rest", "_settings_seen")

    def __init__(self, *, preface: bool, max_frame: int) -> None:
        """`preface`: whether the peer is a client, whose first bytes are `PREFACE`.

        `max_frame`: in bytes.
        """
        self._preface = preface
        self._max_frame = max_frame
        self._settings_seen = False
        # Bytes of a frame still to come whose beginning has been given out already.
        self._left = 0
        # Bytes kept because they make no whole head (or GOAWAY frame) yet.
        self._rest = b""

    def split(self, data: bytes) -> Iterator[tuple[bool, memoryview]]:
        """Yield `(is_goaway, bytes)`: a whole GOAWAY's body, or up to one frame's bytes for h2.

        A frame may come in several pieces, never two in one. Raises `ProtocolViolation`.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        view = memoryview(data)
        position, end = 0, len(data)

        if self._preface:
            if data[: len(PREFACE)] != PREFACE[:end]:
                raise _foreign(data)
            if end < len(PREFACE):
                self._rest = bytes(data)
                return
            self._preface = False
            position = len(PREFACE)
            yield False, view[:position]
        elif self._left:
            position = min(self._left, end)
            self._left -= position
            yield False, view[:position]

        while end - position >= HEAD_SIZE:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, position)
            length = high << 8 | low
            stop = position + HEAD_SIZE + length
            if not self._settings_seen:
                # Also each side's first frame is laid down (RFC 9113 section 3.4).
                if kind != SETTINGS or flags & _ACK:
                    raise _foreign(data[position:])
                self._settings_seen = True
            if length > self._max_frame:
                text = f"a frame of {length} bytes, {self._max_frame} are allowed"
                raise ProtocolViolation(ErrorCode.FRAME_SIZE_ERROR, text)
            if kind == GOAWAY:
                if stop > end:
                    break
                if stream & _STREAM_MASK:
                    raise ProtocolViolation(ErrorCode.PROTOCOL_ERROR, "a GOAWAY frame on a stream")
                yield True, view[position + HEAD_SIZE : stop]
            elif stop > end:
                self._left = stop - end
                yield False, view[position:]
                return
            else:
                yield False, view[position:stop]
            position = stop
        self._rest = bytes(view[position:])


def goaway(last_stream_id: int, code: int, debug: bytes) -> bytes:
    """A whole GOAWAY frame."""
    body = _GOAWAY_BODY.pack(last_stream_id, code) + debug
    return _HEAD.pack(len(body) >> 8, len(body) & 0xFF, GOAWAY, 0, 0) + body


def parse_goaway(body: memoryview) -> tuple[int, int, bytes]:
    """The last stream id, error code and debug data of a GOAWAY's body.

    Raises `ProtocolViolation`.
    """
    if len(body) < _GOAWAY_BODY.size:
        raise ProtocolViolation(ErrorCode.FRAME_SIZE_ERROR, "a GOAWAY frame that is too short")
    last_stream_id, code = _GOAWAY_BODY.unpack_from(body)
    return last_stream_id & _STREAM_MASK, code, bytes(body[_GOAWAY_BODY.size :])


def _foreign(data: bytes) -> ProtocolViolation:
    """The error for a peer that does not begin as HTTP/2 does, with a guess at what it speaks."""
    if data.startswith(_HTTP1):
        guess = " but HTTP/1"
    elif data.startswith(_TLS):
        guess = " but TLS"
    else:
        guess = ""
    text = f"the peer speaks no HTTP/2{guess}: it began with {data[:_SHOWN]!r}"
    return ProtocolViolation(ErrorCode.PROTOCOL_ERROR, text)
