"""What a tunnel without credit keeps of its link's window: bytes for a reader that takes no more.

Held above the tunnel's budget, they are given back to the peer only as they leave, which sooner or
later keeps all tunnels of the link waiting. So a tunnel that makes no progress for the stall
timeout meanwhile is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from konnect.tunnel.later import Delayed
from konnect.tunnel.reasons import Reason

if TYPE_CHECKING:
    from konnect.tunnel.link_end import LinkEnd


class Withheld:
    """One tunnel's; made when the first of them is held."""

    __slots__ = ("_call", "_end", "_progress", "owed")

    def __init__(self, end: LinkEnd) -> None:
        self._end = end
        self._call: Delayed | None = None
        self._progress = False
        self.owed = 0
        """Bytes of the link's window."""

    def keep(self, cost: int) -> int:
        """Keep `cost` bytes more; so many of them go back all the same."""
        self.owed += cost
        link = self._end.link
        if self._call is None:
            link.withheld(1)
            self._call = link.later(link.flow.stall_timeout, self._late)
        return link.stream.withhold(cost)

    def leave(self, count: int) -> None:
        """The reader has taken `count` bytes: give back as many of those that are kept."""
        self._progress = True
        count = min(count, self.owed)
        if count:
            self.owed -= count
            self._end.link.stream.release(count)

    def stop(self) -> None:
        """The reader has taken all, or the tunnel is over: watch no longer."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
            self._end.link.withheld(-1)

    def _late(self) -> None:
        self._call = None
        end = self._end
        link = end.link
        if self._progress and self.owed:
            self._progress = False
            self._call = link.later(link.flow.stall_timeout, self._late)
            return
        link.withheld(-1)
        if self.owed:
            assert end.tunnel is not None  # or its end would have stopped the timer
            link.stalled(end)
            end.tunnel.close(Reason.STALLED)
        self._progress = False
