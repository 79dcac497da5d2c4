"""How much of a link may be on its way at a time: what its path needs, and no more.

All tunnels of a link share one connection. What is on its way on it, unread in the kernels' buffers
when the other side is the slower one, is what a small message waits behind: 8 downloads with a
credit of 512 KiB each made an echo beside them wait for 4 MiB. Credit bounds a tunnel, this their
sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from konnect.tunnel.link_sizes import PATH_RATE, path_holds

BRISK_RATE = PATH_RATE // 4
"""The same while the pace is brisk (`konnect.tunnel.pace`). With half of it, the 1 to 2 ms that a
busy machine itself takes for a round trip counted as the path's, and an echo beside a download took
1.1 to 1.3 times as long (measured)."""

LEAST = 1024 * 1024
"""Bytes on the way that are always allowed: the three parts of `konnect.wire.streams.SHARE` that a
peer may have kept back, be giving back, and be sent, and a read. With 768 KiB, where each read met
the limit, eight uploads over a unix socket came to 0.72 to 0.94 of the rate; with more there was
nothing to be gained (measured). While small messages pass it is less."""

LEAST_BRISK = 320 * 1024
"""The same while the pace is brisk: more than the `SHARE` that a peer may keep back. With 384 KiB
an echo over TLS took 1.2 times as long; with 272 KiB it gained nothing (measured)."""

MOST = 16 * 1024 * 1024


class PathGauge:
    """
    The shortest round trip of one connection, measured by our own pings.

    :param changed: told how many bytes may be on their way, whenever that changes.
    """

    __slots__ = ("_brisk", "_changed", "_now", "_sent", "_shortest", "allowed")

    def __init__(self, now: Callable[[], float], changed: Callable[[int], None]) -> None:
        self._now = now
        self._changed = changed
        self._sent: float | None = None
        self._shortest = math.inf
        self._brisk = False
        self.allowed = MOST
        """Bytes."""

    @property
    def round_trip(self) -> float:
        """Seconds; 0 before it is measured."""
        shortest = self._shortest
        return 0.0 if shortest == math.inf else shortest

    @property
    def measuring(self) -> bool:
        """Whether the answer to a ping is awaited."""
        return self._sent is not None

    def pinged(self) -> None:
        """A ping of ours goes out; of two on their way, the first counts."""
        if self._sent is None:
            self._sent = self._now()

    def ponged(self) -> None:
        """Its answer is here."""
        sent, self._sent = self._sent, None
        if sent is not None:
            self._shortest = min(self._shortest, self._now() - sent)
            self._allow()

    def set_pace(self, *, brisk: bool) -> bool:
        """Whether that changes what may be on the way (`konnect.tunnel.pace`)."""
        self._brisk = brisk
        return self._allow()

    def _allow(self) -> bool:
        trip = self._shortest
        if self._brisk:
            least, holds = LEAST_BRISK, trip * BRISK_RATE
        else:
            least, holds = LEAST, path_holds(trip)
        allowed = max(least, round(min(MOST, holds)))
        if allowed == self.allowed:
            return False
        self.allowed = allowed
        self._changed(allowed)
        return True
