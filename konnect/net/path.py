"""How much of a link may be on its way at a time: what its path needs, and no more.

All tunnels of a link share one connection. What is on its way on it, unread in the kernels' buffers
when the other side is the slower one, is what a small message waits behind: 8 downloads with a
credit of 512 KiB each made an echo beside them wait for 4 MiB. Credit bounds a tunnel, this their
sum.
"""

from __future__ import annotations

from collections.abc import Callable

PATH_RATE = 500_000_000
"""Bytes a second that one link is to reach (a process does not do much more)."""

LEAST = 768 * 1024
"""Bytes on the way that are always allowed: the three parts of `konnect.wire.streams.SHARE` that a
peer may have kept back, be giving back, and be sent. With 1024 KiB a quarter to a third more passed
on the link during an echo beside 8 downloads, by as many system calls; 512 KiB, which need a
smaller `SHARE`, took up to a tenth more of them."""

MOST = 16 * 1024 * 1024


class PathGauge:
    """
    The shortest round trip of one connection, measured by our own pings.

    :param changed: told how many bytes may be on their way, whenever that has become less.
    """

    __slots__ = ("_changed", "_now", "_sent", "allowed")

    def __init__(self, now: Callable[[], float], changed: Callable[[int], None]) -> None:
        self._now = now
        self._changed = changed
        self._sent: float | None = None
        self.allowed = MOST
        """Bytes."""

    def pinged(self) -> None:
        """A ping of ours goes out; of two on their way, the first counts."""
        if self._sent is None:
            self._sent = self._now()

    def ponged(self) -> None:
        """Its answer is here."""
        sent, self._sent = self._sent, None
        if sent is None:
            return
        allowed = max(LEAST, round((self._now() - sent) * PATH_RATE))
        if allowed < self.allowed:
            self.allowed = allowed
            self._changed(allowed)
