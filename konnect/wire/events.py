"""What a `GrpcConnection` tells its owner.

Plain values, without behaviour, though not frozen: those take three times as long to make. One call
may return several: an owner that drops a stream while it goes through them ignores the rest of that
stream's events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from konnect.wire.status import Status

Metadata = Sequence[tuple[str, str]]
"""Lower-case keys and their values, in the order of the wire; a key may come more than once."""


class StreamRefused(Exception):
    """No stream can be opened on this connection now; the text says why."""


@dataclass(slots=True)
class StreamOpened:
    """Server: a client has begun a well-formed gRPC request.

    Any path is reported: routing is the owner's.
    """

    stream_id: int
    path: str
    metadata: Metadata
    authority: str


@dataclass(slots=True)
class HeadersReceived:
    """Client: the server has accepted the stream and sent its response headers."""

    stream_id: int
    metadata: Metadata


@dataclass(slots=True)
class MessageReceived:
    """One whole message."""

    stream_id: int
    payload: bytes
    cost: int
    """Bytes of the stream's receive window that it holds until they are given to `acknowledge`."""


@dataclass(slots=True)
class HalfClosed:
    """Server: the client will send no more messages. The stream lives on."""

    stream_id: int


@dataclass(slots=True)
class StreamEnded:
    """The stream is gone.

    Exactly one for each stream that its owner has not ended or reset itself.
    """

    stream_id: int
    status: Status
    message: str
    reset: bool
    """True when it was cut: by RST_STREAM, a GOAWAY, or the end of the connection."""


@dataclass(slots=True)
class Writable:
    """What the stream had queued has fallen to the low mark after having passed the high one."""

    stream_id: int


@dataclass(slots=True)
class Pinged:
    """The peer has sent a ping; the answer is in `output()` by itself."""

    sent: int
    """Bytes in the DATA frames that we have sent on the whole connection."""


@dataclass(slots=True)
class Ponged:
    """The peer has answered the ping with this payload."""

    payload: bytes


@dataclass(slots=True)
class GoingAway:
    """The peer takes no new streams.

    Live ones up to `last_stream_id` go on; those above it have ended.
    """

    last_stream_id: int
    code: int
    debug: bytes


@dataclass(slots=True)
class ConnectionEnded:
    """The peer broke the protocol.

    Send `output()`, which says so, then close; nothing more is processed.
    """

    code: int
    """The HTTP/2 error code (RFC 9113 section 7) of the GOAWAY."""
    text: str


Event = (
    StreamOpened
    | HeadersReceived
    | MessageReceived
    | HalfClosed
    | StreamEnded
    | Writable
    | Pinged
    | Ponged
    | GoingAway
    | ConnectionEnded
)
