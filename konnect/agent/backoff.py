"""When an agent tries again: upstream's arithmetic, without a clock."""

from __future__ import annotations

import random

GROWTH = 1.5
JITTER = 0.1

EAGER = 4
"""Duplicates in a row, per expected proxy, before the search slows down: when one of N proxies is
missing behind a balancer that takes a random one, that many tries miss it once in 50 (e**-4)."""


class Backoff:
    """
    Seconds until the next attempt.

    :param interval: base interval in seconds (`--sync-interval`); at least `FLOOR`, since 0 would
    spin.
    :param cap: upper bound before jitter (`--sync-interval-cap`).
    """

    FLOOR = 0.01

    def __init__(self, interval: float, cap: float) -> None:
        self._interval = max(interval, self.FLOOR)
        self._cap = max(cap, self._interval)
        self._next = self._interval
        self._duplicates = 0

    def after_success(self) -> float:
        """The wait after an attempt that went well (or had nothing to do); the back-off starts
        anew."""
        self._restart()
        return _jittered(self._interval)

    def after_loss(self) -> float:
        """The wait after a link was lost: within one interval; the back-off starts anew."""
        self._restart()
        return self._interval * random.random()

    def after_error(self) -> float:
        """The wait after a failed attempt: growing by half each time, up to the cap."""
        wait = self._next
        self._next = min(wait * GROWTH, self._cap)
        return _jittered(wait)

    def after_refusal(self) -> float:
        """
        The wait when nobody listens: always one interval.

        Such an attempt costs nobody anything, and a proxy that starts again is found soon after it
        listens. (Upstream waits up to the cap.)
        """
        return _jittered(self._interval)

    def after_hang_up(self) -> float:
        """
        The wait when somebody listens, and closes the connection before a word is said.

        Also always the same: that is a balancer whose proxy is down, or a proxy that has too much
        to do, for which it is a little longer.
        """
        return _jittered(self._interval * GROWTH)

    def after_duplicate(self, expected: int) -> float:
        """
        The wait after an attempt that reached a proxy that is linked already.

        One interval while it is likely that further ones are just not hit yet, then growing.

        :param expected: how many proxies there are.
        """
        self._duplicates += 1
        if self._duplicates <= EAGER * expected:
            return _jittered(self._interval)
        return self.after_error()

    def _restart(self) -> None:
        self._next = self._interval
        self._duplicates = 0


def _jittered(seconds: float) -> float:
    return seconds * (1 + random.random() * JITTER)
