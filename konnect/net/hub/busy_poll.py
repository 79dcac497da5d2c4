"""Busy polling: the hub looks on for some microseconds before it sleeps, where that pays.

To sleep and to be woken costs more than many a wait of the two halves of konnect for each other,
their clients and destinations: on a virtual machine tens of microseconds each time, and for each of
them in turn. So who had something to do just now looks again for a while, and lets others run in
between (sched_yield(2)): they may be the ones that it waits for. Of one client the echoes came to
1.9 to 2.2 times the rate at 0.94 to 1.09 of the CPU for each, new connections over a unix socket to
1.7 at 0.98 (measured; medians of five).

It pays only where what comes next comes soon, so it is done while at least eight of nine waits are
short. With more than a few channels to serve, what comes in one sleep is done in one turn, which
costs less than to do each at once (16 echoes came to 0.8 of the rate when they were polled for as
long): then it looks on for less time. And not for a while after others have kept the processor: who
yields it waits to the end of their slice, while who sleeps would have been let in when woken.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

LIMIT = 160e-6
"""Seconds of one wait, at most. With half of it a machine on which all takes 1.4 to 1.8 times as
long found its waits too long to poll for: new connections of one client came to 0.58 of the rate,
echoes to 0.38 to 0.68, at 1.0 to 1.3 of the CPU for each (measured; medians of four)."""

MANY_LIMIT = 30e-6
"""The same with more channels than a few. New connections of 16 clients came to 1.04 to 1.12 of the
rate, of 64 to 0.98 to 1.06, echoes of 16 to 1.0 to 1.05 (measured; medians of six to eight). With
50 us there was no more to be gained."""

PAYS = 8
"""Short waits that make up for a long one."""

LATE = 1.5
"""Waits of up to so many limits were short, where the hub slept: being woken takes its time too."""

FEW = 4
"""Channels with something to do, at most: a conversation or two, the link and a listener."""

KEPT = 0.0025
"""Seconds without the processor that are a sign of others who need it."""

HOLD_OFF = 0.5
"""Seconds that it is left to them then."""

Events = list[tuple[int, int]]
"""What epoll tells: descriptors, with what they are ready for."""


class BusyPoll:
    """
    What one hub does before it sleeps.

    :param clock: gives seconds.
    :param give_way: lets others run.
    """

    __slots__ = (
        "_clock",
        "_give_way",
        "_idle",
        "_left_until",
        "_many",
        "_score",
        "_seen",
        "_times",
        "limit",
    )

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        give_way: Callable[[], object] = os.sched_yield,
    ) -> None:
        self._clock = clock
        self._give_way = give_way
        self.limit = LIMIT
        """Seconds that it may take; 0: never."""
        self._many = False  # channels, of late
        self._score = 0  # short waits less long ones, up to twice as many as it takes to begin
        self._seen: set[int] = set()  # whose events the last of them brought
        self._times = 0  # how many these are
        self._idle = 0.0  # since when the hub sleeps; 0: it does not
        self._left_until = 0.0

    def woken(self, ready: Events) -> float:
        """The hub has this to do: what time it is."""
        now = self._clock()
        idle = self._idle
        if idle:
            self._idle = 0.0
            self._judge(ready, now - idle < LATE * self._bound())
        return now

    def poll(self, epoll: Any, most: int) -> Events:
        """Up to `most` events that come soon. None: the hub may sleep, and then tell `woken`."""
        idle = now = self._clock()
        if self._score >= PAYS and now >= self._left_until:
            end = now + self._bound()
            while now < end:
                self._give_way()
                ready: Events = epoll.poll(0, most)
                before, now = now, self._clock()
                if now - before > KEPT:
                    self._left_until = now + HOLD_OFF
                if ready:
                    self._judge(ready, True)
                    return ready
        self._idle = idle
        return []

    def _bound(self) -> float:
        limit = self.limit
        return MANY_LIMIT if self._many and limit > MANY_LIMIT else limit

    def _judge(self, ready: Events, short: bool) -> None:
        seen = self._seen
        for fd, _ in ready:
            seen.add(fd)
        self._times += 1
        many = len(seen) > FEW
        if many or self._times > PAYS:
            seen.clear()
            self._times = 0
            if many is not self._many:
                self._many = many
                self._score = 0
        if short:
            self._score = min(self._score + 1, 2 * PAYS)
        else:
            self._score = max(self._score - PAYS, 0)
