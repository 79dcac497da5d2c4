"""Limits that need no object: a dict of whom they concern, in the order in which they are due.

Where all limits of one kind have the same length and end in the same call, all there is to remember
is whom that call is for. Setting and dropping one takes some 40 opcodes, where a
`konnect.net.timers.Timer` takes some 95, and nothing is left for the garbage collector.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any, Generic, TypeVar

from twisted.internet.interfaces import IReactorTime

from konnect.net.clock import elapsed_of
from konnect.net.timers import Timers

T = TypeVar("T")


class Deadlines(Generic[T]):
    """
    Limits of one length, at most one for each owner.

    :param seconds: how long a limit is.
    :param due: called with the owner of a limit that is over.
    :param lasting: they are there as long as their clock: where that is `Timers`, an idle delayed
        call is kept for the next limit, until they rest.
    """

    __slots__ = ("_call", "_clock", "_due", "_lasting", "_seconds", "now", "times")

    def __init__(
        self,
        clock: IReactorTime,
        seconds: float,
        due: Callable[[T], object],
        *,
        lasting: bool = False,
    ) -> None:
        # Not in the queues of `Timers`: the rest of a length is a length that nobody else has.
        self._clock: Any = clock.reactor if isinstance(clock, Timers) else clock
        self.now = elapsed_of(self._clock)
        """The clock that limits are counted by, from a beginning of its own."""
        self._seconds = seconds
        self._due = due
        self.times: dict[T, float] = {}
        """When whose limit is over, the next first; not for others to change."""
        self._call: Any = None
        self._lasting = False
        if lasting and isinstance(clock, Timers) and not clock.resting:
            self._lasting = True
            clock.on_rest(self._rest)

    def set(self, owner: T) -> float:
        """Begin the owner's limit, anew if it has begun already; tells when that is, by `now`."""
        times = self.times
        if owner in times:
            del times[owner]
        now = self.now()
        times[owner] = now + self._seconds
        if self._call is None:
            self._call = self._clock.callLater(self._seconds, self._look)
        return now

    def drop(self, owner: T) -> bool:
        """Forget it; whether there was one."""
        times = self.times
        if times.pop(owner, None) is None:
            return False
        if not times and not self._lasting:
            self._rest()
        return True

    def _rest(self) -> None:
        """No more limits are expected: leave no idle delayed call."""
        self._lasting = False
        if not self.times and self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = None
        times, now = self.times, self.now()
        # In one walk, as in `konnect.net.timers`.
        over = list(takewhile(lambda entry: entry[1] <= now, times.items()))
        try:
            for owner, time in over:
                if times.get(owner) == time:  # not dropped by what came before
                    del times[owner]
                    self._due(owner)
        finally:
            if times:
                left = max(next(iter(times.values())) - self.now(), 0)
                if self._call is None:
                    self._call = self._clock.callLater(left, self._look)
                else:  # made by one that began anew: the others are due before it
                    self._call.reset(left)


def deadlines_of(
    clock: IReactorTime, seconds: float, due: Callable[[Any], object]
) -> Deadlines[Any]:
    """
    The clock's own limits of one length and kind, for who comes and goes: where the clock is
    `Timers`, all who ask get the same ones. `due` is a function, or a method of a class.
    """
    if not isinstance(clock, Timers):
        return Deadlines(clock, seconds, due)
    key = seconds, due
    found: Deadlines[Any] | None = clock.shared.get(key)
    if found is None:
        found = clock.shared[key] = Deadlines(clock, seconds, due, lasting=True)
    return found
