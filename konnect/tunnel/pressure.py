"""The bound of what all tunnels of a process may hold: their windows shrink while much waits.

Each tunnel may hold as much as its credit, which is sized for fast readers and grows for those on
long paths; of many readers that have stopped, that would be too much. So when more than half of
the limit waits in backlogs, what windows had grown by is taken back, and the other half is shared:
every tunnel's window becomes its share of it. What waits then stays within the limit (and what was
on its way at that moment), however many stop reading; tunnels that are read go on, with a smaller
window. When three quarters have gone the windows are as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from konnect.tunnel import window
from konnect.tunnel.later import Delayed, Later
from konnect.tunnel.ledger import UNBOUNDED, Ledger
from konnect.tunnel.link import Link

SMALLEST = 4096
"""Bytes of the smallest window."""

LOOK = 1.0
"""Seconds between two looks while windows are small: at what waits, and at how many share it."""

WHOLE = 2**31 - 1
"""As much as any announced window."""


class Pressure:
    """
    One process's bound.

    :param limit: bytes in all backlogs; 0: no bound, and nothing ever happens here.
    :param links: gives all links there are now.
    :param told: called with the share of each tunnel when it changes, `WHOLE` when windows are as
        announced again.
    """

    def __init__(
        self,
        ledger: Ledger,
        limit: int,
        links: Callable[[], Iterable[Link]],
        later: Later,
        told: Callable[[int], None],
    ) -> None:
        self._ledger = ledger
        self._limit = limit
        self._links = links
        self._later = later
        self._told = told
        self._call: Delayed | None = None
        self.share = WHOLE
        """Bytes of each tunnel's window, if it is not smaller anyway."""
        if limit > 0:
            ledger.limit = limit
            ledger.crowded = self._crowded
            self._wait()

    def stop(self) -> None:
        """For the end of the process: leave no call behind."""
        self._ledger.crowd = UNBOUNDED
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self.share != WHOLE:
            self._share_out(WHOLE)

    def _wait(self) -> None:
        """Be told, by the backlogs, when there is too much."""
        self._ledger.crowd = self._limit // 2

    def _crowded(self) -> None:
        # Not from within somebody's `write`.
        self._ledger.crowd = UNBOUNDED
        self._call = self._later(0, self._look)

    def _look(self) -> None:
        self._call = None
        ledger = self._ledger
        if ledger.buffered <= self._limit // 4:
            self._share_out(WHOLE)
            self._wait()
            return
        share = max(SMALLEST, self._limit // 2 // max(1, ledger.live))
        if share < self.share:
            self._share_out(share)
        else:
            # Links that have come since.
            self._resize()
        self._call = self._later(LOOK, self._look)

    def _share_out(self, share: int) -> None:
        changed, self.share = share != self.share, share
        self._resize()
        if changed:
            self._told(share)

    def _resize(self) -> None:
        roomy = self._ledger.roomy = self.share == WHOLE
        for link in list(self._links()):
            if not roomy:
                window.take_back(link)
            window.resize(link, self.share)
