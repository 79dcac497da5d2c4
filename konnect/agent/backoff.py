"""When an agent tries again: upstream's arithmetic, without a clock."""

from __future__ import annotations

import random

GROWTH = 1.5
JITTER = 0.1


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

    def after_success(self) -> float:
        """The wait after an attempt that went well (or had nothing to do); the back-off starts
        anew."""
        self._next = self._interval
        return _jittered(self._interval)

    def after_loss(self) -> float:
        """The wait after a link was lost: within one interval; the back-off starts anew."""
        self._next = self._interval
        return self._interval * random.random()

    def after_error(self) -> float:
        """The wait after a failed attempt: growing by half each time, up to the cap."""
        wait = self._next
        self._next = min(wait * GROWTH, self._cap)
        return _jittered(wait)


def _jittered(seconds: float) -> float:
    return seconds * (1 + random.random() * JITTER)
