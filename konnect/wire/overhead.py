"""What costs its receiver work and carries no payload: how many frames, of what kind, and how many
requests that came to nothing.

A count, and no judgement: how many are too many is a matter of time, which is not known here.
"""

from __future__ import annotations

from konnect.wire import frames

# Words for the labels of metrics; all other kinds are "frames".
_WORDS = {
    frames.DATA: "empty_data",
    frames.HEADERS: "headers",
    frames.RST_STREAM: "resets",
    frames.SETTINGS: "settings",
    frames.PING: "pings",
    frames.WINDOW_UPDATE: "window_updates",
    frames.CONTINUATION: "continuation",
}


class Overhead:
    """One connection's."""

    __slots__ = ("_kinds", "count", "wasted")

    def __init__(self) -> None:
        self.count = 0
        """Frames so far, of all kinds."""
        self.wasted = 0
        """Requests that came to nothing by the peer's doing: it took them back before they were
        answered, or broke their streams."""
        self._kinds: dict[int, int] = {}

    def add(self, kind: int) -> None:
        """One more, of this type of frame."""
        self.count += 1
        kinds = self._kinds
        kinds[kind] = kinds.get(kind, 0) + 1

    def add_piece(self, piece: bytes | memoryview) -> None:
        """One more, whose beginning this is. (The rest of a frame that came in pieces counts as
        whatever it looks like.)"""
        self.add(piece[3] if len(piece) >= frames.HEAD_SIZE else -1)

    def take_commonest(self) -> str:
        """What most of them were since the last call, in a word."""
        kinds, self._kinds = self._kinds, {}
        return _WORDS.get(max(kinds, key=kinds.__getitem__, default=-1), "frames")
