"""The windows of a link's stream, changed while it lives: how much either side has on its way.

Only for connections whose streams are few: what one is given is given to all of them, since it is
announced by SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 section 6.9.2). So the peer knows the whole
window, and can keep to a part of it (`limit`); WINDOW_UPDATE would not tell it from bytes returned.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from konnect.wire.frames import SETTINGS
from konnect.wire.streams import Streams

_SETTING = Struct("!HBBBIHI")
"""A frame's head, and one setting."""

_INITIAL_WINDOW_SIZE = 4


class StreamWindow:
    """Both windows of one stream; calls for a stream that is gone do nothing to it."""

    __slots__ = ("_stream_id", "_streams")

    def __init__(self, streams: Streams, stream_id: int) -> None:
        self._streams = streams
        self._stream_id = stream_id

    def limit(self, most: int) -> None:
        """
        Have at most about `most` bytes of the stream on the way, whatever its window allows.

        Only towards a peer that gives windows back `SHARE` at a time, as we do.
        """
        streams = self._streams
        stream = streams.table.get(self._stream_id)
        if stream is not None:
            stream.most = most
            stream.reserve = max(0, streams.http2.state.peer_stream_window - most)
            streams.enter_rota(stream)

    def widen(self, size: int) -> None:
        """Let the peer have `size` bytes on their way, on this and every other stream; a window
        never becomes smaller. Nothing for a connection that is over."""
        streams = self._streams
        more = size - streams.window
        if more <= 0 or self._stream_id not in streams.table:
            return
        streams.window = size
        for stream in streams.table.values():
            stream.into += more
        # Past h2, which has no part in the windows for receiving; it takes the answer as it comes.
        streams.outgoing.append(_SETTING.pack(0, 6, SETTINGS, 0, 0, _INITIAL_WINDOW_SIZE, size))

    def watch(self, given: Callable[[int], None]) -> None:
        """Tell `given` how many bytes go back to the peer, each time that some do."""
        stream = self._streams.table.get(self._stream_id)
        if stream is not None:
            stream.given = given
