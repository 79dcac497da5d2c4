"""A tunnel's window that grows where the path is long, and the tunnel carries much.

What a tunnel carries is at most its window for each round trip: with the 512 KiB that are announced
a path of 50 ms allows 10 MB/s. So a receiver counts what leaves within one round trip. Where that
is more than half of the window it allows twice as much, up to what the path holds and `TIMES` the
announced window; where it is less than an eighth, what was allowed is not returned. So a window has
about twice what its reader takes within a round trip, and no more waits when that stops.

While much waits in the process (`konnect.tunnel.pressure`) none grows, and what had grown is taken
back at once.

With 512 KiB alone one download over 50 ms came to 0.04 of what the Go original carries, with this
to more than it does (`bench/far.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from konnect.tunnel.link_sizes import CONNECTION_WINDOW, path_holds

if TYPE_CHECKING:
    from konnect.tunnel.link import Link

TIMES = 32
"""How many times the announced window one may become."""


def most(link: Link) -> int:
    """Bytes that a tunnel of the link may have on its way or held here, once it carries much."""
    path = min(CONNECTION_WINDOW, round(path_holds(link.stream.round_trip)))
    return min(path, TIMES * link.receive_credit)


class Growth:
    """What one tunnel is allowed beyond its link's window; made when it may become something."""

    __slots__ = ("_link", "_moved", "_since", "_taken", "extra")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._since = link.ledger.now()
        self._moved = 0
        self._taken = 0
        self.extra = 0
        """Bytes."""
        link.stream.measure_trip()

    def returned(self, owed: int) -> int:
        """`owed` bytes have left. How many the peer may send for them: more as the window grows,
        fewer, or none, as it shrinks."""
        link = self._link
        now = link.ledger.now()
        trip, seconds = link.stream.round_trip, now - self._since
        self._moved += owed
        if seconds < trip or seconds <= 0:
            return owed
        within_trip = self._moved * trip / seconds
        self._since, self._moved = now, 0
        window = link.window + self.extra
        change = 0
        if 2 * within_trip > window and link.ledger.roomy:
            change = max(0, min(window, most(link) - window))
            if change:
                # The program may have been busy when it was measured.
                link.stream.measure_trip()
        elif 8 * within_trip < window:
            change = -min(owed, self.extra)
        self._become(self.extra + change)
        return owed + change

    def take_back(self) -> int:
        """How many bytes the peer may send less from now on: all that the window had grown by."""
        extra = self.extra
        self._become(0)
        self._taken += extra
        return extra

    def end(self) -> None:
        """The tunnel is over."""
        self._become(0)

    def _become(self, extra: int) -> None:
        self._link.ledger.grown += extra - self.extra
        self.extra = extra

    def allowed(self, increment: int) -> int:
        """
        By how much the peer can have more on its way, now that it may send `increment` more.

        What was taken back may have been sent before the peer knew, so it counts until as much has
        been returned.
        """
        taken = min(self._taken, increment)
        self._taken -= taken
        return increment - taken
