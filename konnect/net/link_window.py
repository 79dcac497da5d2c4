"""The receive window of a link's stream: how much its peer may have on its way to us.

A konnect half keeps itself to what the path needs (`konnect.net.path`), so it has the whole window
at once. Any other fills what it is given, and all of it is what a small message waits behind: with
16 MiB an echo beside downloads took 2.7 to 6 times as long as between two stock halves, with 1 MiB
0.65 to 0.81 of it. So these begin with `FIRST`, and the window doubles when what comes within one
round trip shows that the path holds half of it. (grpc-go estimates in the same way, but takes the
round trip as it is: behind a full window that is long on any path. Here the shortest counts.)

What is held for slow readers is no part of it: it comes out of what the window could still grow by,
so that it does not slow down the others until that is used up. What goes back late, since it was
held, says nothing of the path, and calls for no ping: the peer may be sending nothing any more, and
a server ends connections with pings that follow each other so (`konnect.net.policing`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from konnect.net.path import LEAST, MOST, PathGauge
from konnect.tunnel.link_sizes import path_holds
from konnect.wire.stream_window import StreamWindow

FIRST = 1024 * 1024
"""Bytes of the window at first."""

EVERY = 0.05
"""Seconds between two measurements: each is a ping, and there need not be many."""

TRIPS = 3
"""Pings that may follow each other with nothing sent between them: one more would be too many for a
server (`konnect.net.policing`)."""


class WindowGauge:
    """
    The path from a peer that fills its window.

    :param ping: sends a ping; it calls `pinged`.
    :param widen: told the bytes of the window, whenever it grows.
    """

    __slots__ = (
        "_kept",
        "_late",
        "_lent",
        "_next",
        "_now",
        "_ping",
        "_sample",
        "_sent",
        "_shortest",
        "_widen",
        "size",
    )

    def __init__(
        self, now: Callable[[], float], ping: Callable[[], None], widen: Callable[[int], None]
    ) -> None:
        self._now = now
        self._ping = ping
        self._widen = widen
        self._sent: float | None = None
        self._next = -math.inf
        self._shortest = math.inf
        self._sample = 0
        self._kept = self._lent = self._late = 0
        self.size = FIRST
        """Bytes of the window."""

    def given(self, size: int) -> None:
        """So many bytes go back to the peer. Those that have just come are the time for a ping,
        while the window may have to grow."""
        late = self._late
        if late:
            late = min(late, size)
            self._late -= late
            size -= late
        if self._sent is not None:
            self._sample += size
        elif size and self.size < MOST and self._now() >= self._next:
            self._ping()

    def pinged(self) -> None:
        """A ping goes out; of two on their way, the first counts."""
        if self._sent is None:
            self._sent = self._now()
            self._sample = 0

    def ponged(self) -> None:
        """Its answer is here: what has come meanwhile, less what only waited, is on the path."""
        sent, self._sent = self._sent, None
        if sent is None:
            return
        now = self._now()
        self._next = now + EVERY
        trip = now - sent
        self._shortest = shortest = min(self._shortest, trip)
        most = min(MOST - self._lent, round(path_holds(shortest)))
        # Strictly speaking sample * shortest / trip >= size / 2; a trip may take no time.
        if self.size < most and 2 * self._sample * shortest >= self.size * trip:
            self.size = min(2 * self.size, most)
            self._widen(self.size)

    def set_pace(self, *, brisk: bool) -> bool:
        """This window is the peer's to fill, and says nothing of what is sent here."""
        return False

    def withhold(self, cost: int) -> int:
        """`cost` bytes more are held for slow readers. Of them so many go back all the same."""
        self._kept += cost
        lent = max(0, min(cost, MOST - self.size - self._lent))
        self._lent += lent
        return lent

    def release(self, cost: int) -> int:
        """`cost` bytes less are held. So many go back now: first what the window lacks."""
        lacking = min(cost, self._kept - self._lent)
        self._kept -= cost
        self._lent -= cost - lacking
        self._late += lacking
        return lacking


class WholeWindow(PathGauge):
    """
    The path to a peer of our own, whose tunnels have credit: none holds up the window.

    A program that has just started is busy, so one trip says little: it takes `TRIPS` to find the
    shortest, unless that is as short as need be.
    """

    __slots__ = ("_again", "_trips")

    def __init__(
        self, now: Callable[[], float], ping: Callable[[], None], changed: Callable[[int], None]
    ) -> None:
        super().__init__(now, changed)
        self._again = ping
        self._trips = 0

    def ponged(self) -> None:
        """See `PathGauge`."""
        super().ponged()
        self._trips += 1
        if self._trips < TRIPS and self.allowed > LEAST:
            self._again()

    def withhold(self, cost: int) -> int:
        """What is held was all withheld."""
        return 0

    def release(self, cost: int) -> int:
        """All goes back."""
        return cost


def follow(
    now: Callable[[], float], ping: Callable[[], None], window: StreamWindow, *, own: bool
) -> WindowGauge | WholeWindow:
    """Let a stream's windows follow its path; `own`: the peer follows it as well."""
    if own:
        window.widen(MOST)
        return WholeWindow(now, ping, window.limit)
    gauge = WindowGauge(now, ping, window.widen)
    window.watch(gauge.given)
    return gauge
