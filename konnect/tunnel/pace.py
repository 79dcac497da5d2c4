"""How brisk a process is: bulk moves in smaller pieces while small messages pass.

A small message waits at each program until the program's present turn is over, and on a link for
the bytes that are on their way before it. Reads and what is on a link are usually as large as
carries the most bytes. While small messages follow each other on any tunnel, and for `HOLD` seconds
after, both are a fraction of that: an echo beside a download took 0.45 to 0.75 of the time, beside
eight of them 0.35 to 0.45, at 1.1 to 1.4 times the CPU for each byte of bulk (measured).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from konnect.tunnel.later import Delayed, Later
from konnect.tunnel.ledger import UNBOUNDED, Ledger
from konnect.tunnel.link import Link
from konnect.tunnel.link_sizes import HEADS
from konnect.tunnel.pressure import WHOLE

HOLD = 0.1
"""Seconds between two looks whether small messages still pass."""

READ = 65536 - HEADS
"""Bytes of one read meanwhile: with their heads 4 full TLS records. 32 KiB took more CPU and did no
better, 128 KiB let an echo over TLS wait for 1.4 times as long (measured)."""


class Pace:
    """
    One process's pace. Small messages are counted by the ends that write to links.

    :param links: gives all links there are now.
    :param told: called with the most bytes of one read from now on, `WHOLE` for as many as ever.
    """

    def __init__(
        self,
        ledger: Ledger,
        links: Callable[[], Iterable[Link]],
        later: Later,
        told: Callable[[int], None],
    ) -> None:
        self._ledger = ledger
        self._links = links
        self._later = later
        self._told = told
        self._seen = 0
        self._call: Delayed | None = None
        ledger.first_small = self._quicken
        ledger.small_until = 0

    def stop(self) -> None:
        """For the end of the process: leave no call behind."""
        self._ledger.small_until = UNBOUNDED
        if self._call is not None:
            self._call.cancel()
            self._slow_down()

    def _quicken(self) -> None:
        ledger = self._ledger
        ledger.brisk = True
        ledger.small_until = UNBOUNDED
        self._told(READ)
        self._go_on()

    def _go_on(self) -> None:
        self._seen = self._ledger.small
        # With those that have come since.
        self._set_links(brisk=True)
        self._call = self._later(HOLD, self._look)

    def _look(self) -> None:
        ledger = self._ledger
        if ledger.small != self._seen:
            self._go_on()
        else:
            ledger.small_until = ledger.small
            self._slow_down()

    def _slow_down(self) -> None:
        self._call = None
        self._ledger.brisk = False
        self._told(WHOLE)
        self._set_links(brisk=False)

    def _set_links(self, *, brisk: bool) -> None:
        for link in list(self._links()):
            link.stream.set_pace(brisk=brisk)
