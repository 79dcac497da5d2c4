"""Frames that come together at the beginning of a read are one step of the memo, not one each.

A client says its preface, SETTINGS and perhaps WINDOW_UPDATE and its request in one write. To cut
them apart, count them and look each up takes some 300 opcodes for each frame; as one piece of bytes
they take fewer than 200 together. What a run does is what its frames do: it is put together from
their steps in the memo, once a connection has gone through them one by one.

A run begins between two frames and is made of whole ones: the preface (with SETTINGS behind it),
SETTINGS, WINDOW_UPDATE of the connection, HEADERS. It ends with HEADERS, so that what the request
leads to is done in the state in which it came, and before anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from konnect.wire import frames
from konnect.wire.overhead import Overhead

if TYPE_CHECKING:
    from konnect.wire.memo import OpeningMemo, Step

KEPT = 8
"""Runs that are kept for a state, the last one learned first."""

IN_ALL = 512
"""Runs that are kept for all states of a memo: each leads to a state, in which others begin, so
that they could grow like a tree. The oldest is forgotten first, unless it was of use since it was
the oldest last."""

LONGEST = 2048
"""Bytes of a run."""

BEGINNINGS = frozenset({frames.PREFACE[3], frames.SETTINGS, frames.HEADERS})
"""What the fourth byte of a read is that may begin with a run: the preface's, or a frame's type."""

_NO_STREAM = bytes(4)


class Run:
    """Some frames, and what they do."""

    __slots__ = ("after", "count", "events", "kinds", "out", "reactions", "size", "used", "widens")

    def __init__(
        self,
        after: Step,
        out: bytes,
        events: Sequence[Any],
        widens: int,
        kinds: dict[int, int],
        size: int,
    ) -> None:
        self.after = after
        self.size = size
        """Its bytes."""
        self.out = out
        """What h2 sends for it."""
        self.events = events
        """What h2 tells of it, in order."""
        self.reactions: Sequence[tuple[Any, Any]] | None = None
        """What those do, each with its event: the same for all connections of a memo, whose first
        that comes to the run looks it up (`konnect.wire.arrivals.Arrivals.run`)."""
        self.widens = widens
        """By how many bytes the connection's window for sending becomes wider."""
        self.used = False
        """Whether it came again lately."""
        self.count = sum(kinds.values())
        self.kinds = kinds
        """How many frames `Overhead` counts for it, in all and of each type."""


class Runs:
    """The runs that begin in one state."""

    __slots__ = ("known", "sizes")

    def __init__(self) -> None:
        self.known: dict[bytes, Run] = {}
        """Each by its bytes."""
        self.sizes: tuple[int, ...] = ()
        """How many bytes they have."""

    def keep(self, data: bytes, run: Run) -> None:
        """Remember one."""
        self.known = dict([(data, run), *self.known.items()][:KEPT])
        self._measure()

    def forget(self, data: bytes) -> None:
        """Remember it no more, if it is remembered."""
        if self.known.pop(data, None) is not None:
            self._measure()

    def _measure(self) -> None:
        self.sizes = tuple(dict.fromkeys(map(len, self.known)))


def learn(memo: OpeningMemo, step: Step, data: bytes) -> None:
    """`data` has been read, frame by frame and without an error, by a connection that was in the
    state `step`, between two frames: remember the run that it begins with."""
    overhead = Overhead()
    at, position, widens = step, 0, 0
    out: list[bytes] = []
    events: list[Any] = []
    data = data[:LONGEST]
    while True:
        stop, kind = _frame(data, position)
        if not stop:
            break
        piece = data[position:stop]
        if kind == frames.WINDOW_UPDATE:
            increment = int.from_bytes(piece[frames.HEAD_SIZE :]) & 0x7FFFFFFF
            if not increment:
                break
            widens += increment
            overhead.add_window_update(increment)
        else:
            found = memo.find(at, piece)
            if found is None:
                break
            at = found
            out.append(at.out)
            events += at.events
            overhead.add_piece(piece)
        position = stop
        if kind == frames.HEADERS:
            break
    whole = frames.SETTINGS in overhead.kinds or not data.startswith(frames.PREFACE)
    if at is not step and whole:
        run = Run(at, b"".join(out), tuple(events), widens, overhead.kinds, position)
        if step.runs is None:
            step.runs = Runs()
        step.runs.keep(data[:position], run)
        memo.learned.append((step.runs, data[:position]))
        while len(memo.learned) > IN_ALL:
            runs, first = oldest = memo.learned.popleft()
            known = runs.known.get(first)
            if known is not None and known.used:
                known.used = False
                memo.learned.append(oldest)
            else:
                runs.forget(first)


def _frame(data: bytes, position: int) -> tuple[int, int]:
    """Where the frame (or preface) at `position` ends, and its type; 0 where it is none that a run
    can have, or is not whole."""
    if not position and data.startswith(frames.PREFACE):
        return len(frames.PREFACE), -1
    if len(data) - position < frames.HEAD_SIZE:
        return 0, 0
    size = int.from_bytes(data[position : position + 3])
    kind, flags = data[position + 3 : position + 5]
    stop = position + frames.HEAD_SIZE + size
    wanted = (
        kind == frames.SETTINGS
        or (kind == frames.WINDOW_UPDATE and size == 4 and data[stop - 8 : stop - 4] == _NO_STREAM)
        or (kind == frames.HEADERS and flags & frames.END_HEADERS)
    )
    return (stop, kind) if wanted and stop <= len(data) else (0, 0)
