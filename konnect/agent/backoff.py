"""When an agent tries again: upstream's arithmetic, without a clock.

Upstream's flags say how often an agent looks whether it has all proxies, and how long it waits when
it cannot connect. A proxy that was linked and is gone is mostly one that is started again: where
nobody is there to be troubled, it is looked for more often than that, for a while.
"""

from __future__ import annotations

import random

from konnect.agent.server_count import PLAUSIBLE

GROWTH = 1.5
JITTER = 0.1

EAGER = 4
"""Duplicates in a row, per expected proxy, before the search slows down: when one of N proxies is
missing behind a balancer that takes a random one, that many tries miss it once in 50 (e**-4)."""

SOON = 1.0
"""Seconds between attempts to reach a proxy that was lost, if `--sync-interval` is longer."""

HURRIED = 600
"""Attempts that fail, after a loss, until the search is as patient as it always was: some ten
minutes where connections are refused, and three times as many where nothing is answered."""


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
        self._hurried = 0
        self._brief = 0.0
        """The last wait after links that were lost as soon as they were made."""

    @property
    def hurried(self) -> bool:
        """Whether a proxy that was lost is looked for."""
        return self._hurried > 0

    def after_success(self) -> float:
        """The wait after an attempt that went well; the back-off starts anew."""
        self._restart()
        return _jittered(self._interval)

    def after_nothing(self) -> float:
        """The wait when there is nothing to look for."""
        self._hurried = 0
        return self.after_success()

    def after_change(self) -> float:
        """The wait when there is something to look for again: within one interval; the back-off
        starts anew."""
        self._restart()
        return self._interval * random.random()

    def after_loss(self) -> float:
        """The same when a link was lost: sooner, and in a hurry."""
        self._brief = 0.0
        return self._soon()

    def after_brief_link(self) -> float:
        """
        The same when the link was lost as soon as it was made: growing from the second time in a
        row on, up to the cap.

        Something ends all links there, and each costs a handshake and two lines in the log.
        """
        soon = self._soon()
        if not self._brief:
            self._brief = self._interval
            return soon
        self._brief = min(self._brief * GROWTH, self._cap)
        return _jittered(self._brief)

    def _soon(self) -> float:
        self._restart()
        self._hurried = HURRIED
        return min(self._interval, SOON) * random.random()

    def after_error(self) -> float:
        """The wait after a failed attempt: growing by half each time, up to the cap."""
        wait = self._next
        self._next = min(wait * GROWTH, self._cap)
        return _jittered(wait)

    def after_refusal(self) -> float:
        """
        The wait when nobody listens: always one interval, or a second in a hurry.

        Such an attempt costs nobody anything, and a proxy that starts again is found soon after it
        listens. (Upstream waits up to the cap.)
        """
        return _jittered(self._shortest())

    def after_hang_up(self) -> float:
        """
        The wait when somebody listens, and closes the connection before a word is said.

        Also always the same: that is a balancer whose proxy is down, or a proxy that has too much
        to do, for which it is a little longer.
        """
        return _jittered(self._shortest() * GROWTH)

    def after_silence(self) -> float:
        """
        The wait when nobody was reached at all: no answer, no way there, no such name.

        In a hurry that is as cheap as a refusal. Else it is an error: packets and lookups of many
        agents, for a proxy that may never be there again.
        """
        return _jittered(self._shortest()) if self._hurried else self.after_error()

    def after_duplicate(self, expected: int) -> float:
        """
        The wait after an attempt that reached a proxy that is linked already.

        One interval while it is likely that further ones are just not hit yet, then growing.

        :param expected: how many proxies there are, as somebody has said.
        """
        self._duplicates += 1
        self._hurried = max(self._hurried - 1, 0)
        if self._duplicates <= EAGER * min(expected, PLAUSIBLE):
            return _jittered(self._interval)
        return self.after_error()

    def _shortest(self) -> float:
        """An interval, or less in a hurry, of which some is spent."""
        if not self._hurried:
            return self._interval
        self._hurried -= 1
        return min(self._interval, SOON)

    def _restart(self) -> None:
        self._next = self._interval
        self._duplicates = 0


def _jittered(seconds: float) -> float:
    return seconds * (1 + random.random() * JITTER)
