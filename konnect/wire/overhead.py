"""What costs its receiver work and carries no payload: how many frames, of what kind, and how many
requests that came to nothing.

Counted, not judged: how many are too many depends on the time they took, which is not known here.
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

TINY = 1024
"""A window widened by fewer bytes is no help to either side."""


class Overhead:
    """One connection's."""

    __slots__ = ("_kinds", "count", "runs", "wasted")

    def __init__(self) -> None:
        self.count = 0
        """Frames so far, of all kinds."""
        self.wasted = 0
        """Requests that came to nothing by the peer's doing: it took them back before they were
        answered, broke their streams, or had as many as it may."""
        # How many of each type, since the last `take_commonest`.
        self._kinds: dict[int, int] | None = None
        self.runs: tuple[dict[int, int], ...] = ()
        """The same of frames that came as runs, which `count` has too. Looked at when somebody
        asks: a connection has few runs, since each leads it deeper into the memo."""

    def add(self, kind: int) -> None:
        """One more, of this type of frame."""
        self.count += 1
        kinds = self._kinds
        if kinds is None:
            kinds = self._kinds = {}
        kinds[kind] = kinds.get(kind, 0) + 1

    def add_window_update(self, increment: int) -> None:
        """One more of these, if it is no help to either side."""
        if increment < TINY:
            self.add(frames.WINDOW_UPDATE)

    @property
    def kinds(self) -> dict[int, int]:
        """How many of each type since the last `take_commonest`."""
        kinds = dict(self._kinds or ())
        for run in self.runs:
            for kind, count in run.items():
                kinds[kind] = kinds.get(kind, 0) + count
        return kinds

    def add_piece(self, piece: bytes | memoryview) -> None:
        """One more, whose beginning this is. (The rest of a frame that came in pieces counts as
        whatever it looks like.)"""
        self.add(piece[3] if len(piece) >= frames.HEAD_SIZE else -1)

    def take_commonest(self) -> str:
        """What most of them were since the last call, in a word."""
        kinds = self.kinds
        self._kinds, self.runs = None, ()
        return _WORDS.get(max(kinds, key=kinds.__getitem__, default=-1), "frames")
