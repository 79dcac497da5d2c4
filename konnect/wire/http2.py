"""How we set up h2: settings, limits, and which of its checks are ours.

One function; what is done with the connection is not known here. h2 checks framing, states, windows
and the size of header blocks; the content of header blocks is checked by `headers`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings
from hpack import Decoder
from hpack.struct import HeaderTuple

from konnect.wire.collecting import Collecting
from konnect.wire.framing import PREFIX_SIZE
from konnect.wire.windows import DEFAULT

SHARE = 256 * 1024
"""Most that a stream's window may lack before its peer is told: a peer that limits what it has on
its way (`konnect.wire.stream.Stream.most`) waits for it."""


class Role(enum.Enum):
    """Which side of a connection this is."""

    CLIENT = "client"
    SERVER = "server"

    def __init__(self, name: str) -> None:
        # Asked for each connection: Python 3.11 is slow to find a member in its enumeration.
        self.client = name == "client"


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes."""

    max_message: int = 4 * 1024 * 1024
    """Largest message received; above it the stream ends with RESOURCE_EXHAUSTED."""
    collecting: Collecting | None = None
    """Bounds what the messages take that are collected, of all streams that have it in common."""
    stream_window: int = 1024 * 1024
    """Receive window of each stream: what its owner may hold unacknowledged."""
    connection_window: int = 16 * 1024 * 1024
    """Receive window of the connection, for all streams together. Never below HTTP/2's 65535."""
    max_frame: int = 16384
    """Largest frame received, 16384 to 16777215."""
    max_header_list: int = 65536
    """Largest decoded header block received."""
    max_streams: int = 0
    """Streams that the peer may have open at a time; 0: as many as it likes."""
    send_high: int = 65536
    """A stream with more queued than this is not writable."""
    send_low: int = 16384
    """`Writable` comes when what is queued has fallen to this."""
    # What follows from them, once for all connections.
    whole_window: int = field(init=False, default=0)
    """The connection's window as it is when nothing is missing."""
    claim_at: int = field(init=False, default=0)
    """What it may fall to before its peer is given back what it lacks: that is worth a frame."""
    largest_whole: int = field(init=False, default=0)
    """A received message in one frame."""
    in_doubt: int = field(init=False, default=0)
    """What a peer that has not seen our SETTINGS may believe of a stream's window, too much."""
    share: int = field(init=False, default=0)
    """What a stream's window may lack before its peer is told."""

    def __post_init__(self) -> None:
        whole = max(self.connection_window, DEFAULT)
        follows = {
            "whole_window": whole,
            "claim_at": whole - max(1, self.connection_window // 4),
            "largest_whole": min(self.max_message, self.max_frame - PREFIX_SIZE),
            "in_doubt": max(0, DEFAULT - self.stream_window),
            "share": max(1, min(self.stream_window // 4, SHARE)),
        }
        for name, size in follows.items():
            object.__setattr__(self, name, size)


class _Fields(Decoder):
    """Decodes header blocks, and leaves out Content-Length: h2 compares it with what it sees of the
    body, which is nothing, and ends the connection. gRPC's messages have lengths of their own."""

    def decode(self, data: bytes, raw: bool = False) -> list[HeaderTuple]:
        """See Decoder."""
        return [field for field in super().decode(data, raw) if field[0] != b"content-length"]


class Http2Connection(H2Connection):
    """h2's connection, with less memory of the past."""

    # How many closed streams are remembered, to tell late frames from wrong ones. h2's own 65536
    # would let each busy connection grow by some 10 MB.
    MAX_CLOSED_STREAMS = 4096

    def begin(self, limits: Limits) -> None:
        """Queue the preface, SETTINGS and the connection's receive window."""
        self.initiate_connection()
        # A peer that opens more streams than it may is refused those (RFC 9113 section 5.1.2), by
        # `reactions`; h2 would end the whole connection.
        self.local_settings.pop(SettingCodes.MAX_CONCURRENT_STREAMS, None)
        more = limits.connection_window - DEFAULT
        if more > 0:
            self.increment_flow_control_window(more)

    @property
    def peer_stream_window(self) -> int:
        """The window that the peer gives new streams."""
        return self.remote_settings.initial_window_size


def new_connection(limits: Limits, *, client: bool) -> Http2Connection:
    """An h2 connection with our limits, not yet started."""
    http2 = Http2Connection(
        H2Configuration(
            client_side=client,
            header_encoding=None,
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
            validate_outbound_headers=False,
        )
    )
    # Given as initial values they hold at once. Assigned one by one they would be announced by no
    # SETTINGS frame, since h2 takes assignments for changes that await an answer.
    values = {
        SettingCodes.ENABLE_PUSH: 0,
        SettingCodes.INITIAL_WINDOW_SIZE: limits.stream_window,
        SettingCodes.MAX_FRAME_SIZE: limits.max_frame,
        SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_header_list,
    }
    if limits.max_streams:
        values[SettingCodes.MAX_CONCURRENT_STREAMS] = limits.max_streams
    http2.local_settings = Settings(client=client, initial_values=values)
    http2.decoder = _Fields()
    # h2 has copied these two from its defaults already.
    http2.max_inbound_frame_size = limits.max_frame
    http2.decoder.max_header_list_size = limits.max_header_list
    return http2
