"""The tunnels of one link that wait until its stream takes more: the fairness between them.

When the stream takes no more, the end that wrote is paused and parked. Parked ends are woken in
turn (first in, first out), one at a time. One that wrote little has a line of its own and is woken
before the next of the others: its bytes were not what filled the stream, and it would wait for a
large read of each of them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from konnect.tunnel.blocked import BlockedWatch
from konnect.tunnel.later import Later

if TYPE_CHECKING:
    from konnect.tunnel.link_end import LinkEnd

WAKE_PER_TURN = 1
"""Parked ends woken in one turn; each may read a packet's worth before the next stop."""

LITTLE = 4096
"""Bytes of a write that is little."""

LITTLE_PER_TURN = 16
"""Parked ends woken before those, of them that wrote little."""


class Parking:
    """See the module."""

    __slots__ = ("_ends", "_later", "_little", "_waking", "full", "watch")

    def __init__(self, later: Later) -> None:
        self._later = later
        self._ends: deque[LinkEnd] = deque()
        self._little: deque[LinkEnd] = deque()
        self._waking = False
        self.full = False
        """Whether the stream has said stop, and not yet that it has room again."""
        self.watch: BlockedWatch | None = None
        """Told when somebody has to wait, and when the link goes on."""

    @property
    def waiting(self) -> int:
        """How many tunnels wait here."""
        return sum(end.other is not None for end in (*self._ends, *self._little))

    def park(self, end: LinkEnd, size: int) -> None:
        """The stream has said stop to `end`, which had written `size` bytes."""
        self.full = True
        if not end.parked and end.other is not None:
            end.parked = True
            (self._little if size <= LITTLE else self._ends).append(end)
            end.other.pause()
            if self.watch is not None:
                self.watch.parked()

    def writable(self) -> None:
        """The stream has room again."""
        self.full = False
        if self.watch is not None:
            self.watch.moved()
        if not self._waking:
            self._wake()

    def _wake(self) -> None:
        self._waking = False
        self._wake_some(self._little, LITTLE_PER_TURN)
        self._wake_some(self._ends, WAKE_PER_TURN)
        if (self._ends or self._little) and not self.full:
            # A woken source may have nothing to say, so the rest cannot wait for the next drain
            # alone. (A stream that is full again does drain, and says so.)
            self._waking = True
            self._later(0, self._wake)

    def _wake_some(self, ends: deque[LinkEnd], most: int) -> None:
        woken = 0
        while ends and woken < most and not self.full:
            end = ends.popleft()
            if end.other is not None:
                woken += 1
            end.unparked()

    def clear(self) -> None:
        """The link is gone."""
        self._ends.clear()
        self._little.clear()
        if self.watch is not None:
            self.watch.clear()
            self.watch = None
