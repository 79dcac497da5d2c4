"""The outermost layer of HTTP/2: the connection preface, and where one frame ends.

`FrameSplitter` cuts the received bytes at frame boundaries, without copying them, and takes out the
frames that h2 must not see:

- DATA of live streams, and WINDOW_UPDATE. h2 spends nine tenths of its time with DATA on a text for
  a log that is off (docs/performance.md), and what it does not see it cannot count: so the
  flow-control windows of both directions are ours (`windows`), and h2's stay full.
- GOAWAY: h2 takes it for the end of everything, while RFC 9113 section 6.8 lets live streams go on
  after it, which is what draining is made of.

Everything else goes to h2 as it came. So does what h2 shall call an error: DATA of streams that are
not live, and anything between a HEADERS frame and its last CONTINUATION. (Only the reserved bit of
a WINDOW_UPDATE is cleared there, since RFC 9113 section 6.9 wants it ignored.) Frames that are too
long are refused when their head has come, before a byte of their body is kept. What frames mean is
not known here.

h2 keeps a header block until its last frame has come, and only then compares its decoded size with
the limit. So the encoded size, which is the smaller one, is limited here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from konnect.wire.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD,
    HEAD_SIZE,
    HEADERS,
    PADDED,
    PREFACE,
    PUSH_PROMISE,
    SETTINGS,
    STREAM_MASK,
    WINDOW_UPDATE,
    ProtocolViolation,
    window_update,
)
from konnect.wire.status import ErrorCode

_NO_STREAMS: dict[int, Any] = {}
_HTTP1 = (b"HTTP/", b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ")
_TLS = (b"\x16\x03", b"\x15\x03")
_SHOWN = 24


class Receiver(Protocol):
    """A live stream, as far as a splitter looks at it."""

    half_closed: bool
    """The peer has ended its side: no DATA may come on it."""


class FrameSink(Protocol):
    """What a splitter tells, call by call (an object per frame would cost more than its head does).

    Views are of immutable bytes: they may be kept, but keep what was received with them alive.
    """

    def for_h2(self, piece: memoryview) -> None:
        """Up to one frame's bytes; a frame may come in several pieces, never two in one."""

    def data(
        self, stream_id: int, piece: memoryview, charge: int, ended: bool, padding: int = 0
    ) -> None:
        """Some of a DATA frame's payload, as it came.

        `charge`: what the frame takes of the windows; told with its first piece, then 0. `ended`:
        this is its last piece, and the frame ends the stream. `padding`: how much of the charge is
        no payload.
        """

    def packets(self, data: bytes, position: int, stream: Any) -> int:
        """
        Take whole DATA frames of a live stream, none or some, from `position` on: they may have
        been made for a faster way (`packet_frames`). Returns where the rest begins.
        """

    def window_update(self, stream_id: int, increment: int) -> None:
        """Room for `increment` more bytes on a live stream, or on the connection (stream 0)."""

    def goaway(self, body: memoryview) -> None:
        """A whole GOAWAY's body."""


class FrameSplitter:
    """Cuts one direction of a connection into frames, given its bytes in any pieces."""

    __slots__ = (
        "_block",
        "_data_ends",
        "_data_left",
        "_data_stream",
        "_in_headers",
        "_left",
        "_live",
        "_max_block",
        "_max_frame",
        "_preface",
        "_rest",
        "_settings_seen",
        "between",
    )

    def __init__(
        self,
        *,
        preface: bool,
        max_frame: int,
        max_block: int = 65536,
        live: Callable[[int], Receiver | None] = _NO_STREAMS.get,
    ) -> None:
        """`preface`: whether the peer is a client, whose first bytes are `PREFACE`.

        `max_frame`: in bytes. `max_block`: of a header block, in all of its frames. `live`: the
        live stream with this id.
        """
        self._preface = preface
        self._max_frame = max_frame
        self._max_block = max_block
        self._live = live
        self._settings_seen = False
        self._in_headers = False
        # Bytes of the header block so far.
        self._block = 0
        # Bytes still to come of a frame for h2 whose beginning has been given out already.
        self._left = 0
        # The same for a DATA frame, and what its head said.
        self._data_left = 0
        self._data_stream = 0
        self._data_ends = False
        # Bytes kept because they make no whole head (or frame that is wanted whole) yet.
        self._rest = b""
        self.between = True
        """Whether a frame ended with the last byte, or nothing has come, and no header block goes
        on: the beginning of what comes next may then be read by others, as far as it is made of
        whole frames that they know."""

    def skip_opening(self) -> None:
        """The preface and the SETTINGS behind it have been read by others."""
        self._preface = False
        self._settings_seen = True

    @property
    def held(self) -> int:
        """Bytes kept of a frame that has not come whole."""
        return len(self._rest)

    def split(self, data: bytes, sink: FrameSink, position: int = 0) -> None:
        """Tell the parts of `data`, with what was kept before it; from `position` on, if others
        have read its beginning (`between`). Raises `ProtocolViolation`.

        A part is acted upon before the next is looked at: it decides which streams are live.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        self.between = False
        end = len(data)
        view = memoryview(data)

        if self._preface:
            if data[: len(PREFACE)] != PREFACE[:end]:
                raise _foreign(data)
            if end < len(PREFACE):
                self._rest = data
                return
            self._preface = False
            position = len(PREFACE)
            sink.for_h2(view[:position])
        elif self._data_left:
            position = min(self._data_left, end)
            self._data_left -= position
            ended = self._data_ends and not self._data_left
            sink.data(self._data_stream, view[:position], 0, ended)
            if self._data_left:
                return
        elif self._left:
            position = min(self._left, end)
            self._left -= position
            sink.for_h2(view[:position])
            if self._left:
                return

        live = self._live
        while end - position >= HEAD_SIZE:
            high, low, kind, flags, stream = HEAD.unpack_from(data, position)
            length = high << 8 | low
            start = position + HEAD_SIZE
            stop = start + length
            stream &= STREAM_MASK
            receiver = live(stream)
            if not self._settings_seen:
                # The first frame of either side is laid down too (RFC 9113 section 3.4).
                if kind != SETTINGS or flags & ACK:
                    raise _foreign(data[position:])
                self._settings_seen = True
            if length > self._max_frame:
                text = f"a frame of {length} bytes, {self._max_frame} are allowed"
                raise ProtocolViolation(ErrorCode.FRAME_SIZE_ERROR, text)
            if self._in_headers:
                pass
            elif kind == DATA and receiver is not None and not receiver.half_closed:
                if not flags and stop <= end:
                    reached = sink.packets(data, position, receiver)
                    if reached > position:
                        position = reached
                        continue
                ends = bool(flags & END_STREAM)
                if flags & PADDED:
                    # Nobody in the field pads: such a frame is wanted whole.
                    if stop > end:
                        break
                    payload = _unpadded(view[start:stop])
                    sink.data(stream, payload, length, ends, length - len(payload))
                elif stop > end:
                    self._data_left = stop - end
                    self._data_stream, self._data_ends = stream, ends
                    sink.data(stream, view[start:end], length, False)
                    return
                else:
                    sink.data(stream, view[start:stop], length, ends)
                position = stop
                continue
            elif kind == WINDOW_UPDATE and length == 4:
                if stop > end:
                    break
                increment = int.from_bytes(view[start:stop]) & STREAM_MASK
                if increment and (not stream or receiver is not None):
                    sink.window_update(stream, increment)
                else:
                    # Without the reserved bit, which h2 would take for a part of the number.
                    sink.for_h2(memoryview(window_update(stream, increment)))
                position = stop
                continue
            elif kind == GOAWAY:
                if stop > end:
                    break
                if stream:
                    raise ProtocolViolation(ErrorCode.PROTOCOL_ERROR, "a GOAWAY frame on a stream")
                sink.goaway(view[start:stop])
                position = stop
                continue
            if kind in (HEADERS, PUSH_PROMISE, CONTINUATION):
                self._block = self._block + length if self._in_headers else length
                if self._block > self._max_block:
                    text = f"a header block of more than {self._max_block} bytes"
                    raise ProtocolViolation(ErrorCode.ENHANCE_YOUR_CALM, text)
                self._in_headers = not flags & END_HEADERS
            if stop > end:
                self._left = stop - end
                sink.for_h2(view[position:])
                return
            sink.for_h2(view[position:stop])
            position = stop
        if position < end:
            self._rest = data[position:]
        else:
            self.between = not self._in_headers


def _unpadded(body: memoryview) -> memoryview:
    """A padded DATA frame's payload, RFC 9113 section 6.1. Raises `ProtocolViolation`."""
    if not body or body[0] >= len(body):
        raise ProtocolViolation(ErrorCode.PROTOCOL_ERROR, "a DATA frame with too much padding")
    return body[1 : len(body) - body[0]]


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
