"""Waits of a program that stops, which a second signal cuts short."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

POLL = 0.05
"""Seconds between two looks at whether a wait is over."""


class Stopping:
    """What the stopping of both programs has in common."""

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self._hurried = False

    def hurry(self) -> None:
        """Make it immediate from here on."""
        self._hurried = True

    async def _wait(
        self, done: Callable[[], bool], seconds: float, *, hurried: float = 0.0
    ) -> None:
        """Until it is done, for so many seconds at most; `hurried`: those after a second signal."""
        begun = self.clock.seconds()
        while not done():
            if self.clock.seconds() - begun >= (hurried if self._hurried else seconds):
                return
            await deferLater(self.clock, POLL)
