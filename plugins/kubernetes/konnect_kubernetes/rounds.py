"""Does one thing again and again, with pauses that it chooses, until it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from konnect.log import make_logger

log = make_logger(__name__)

AFTER_A_BREAK = 7.0
"""Seconds before the next round when one broke by a mistake of ours."""


class Rounds:
    """
    Rounds of `once`, which returns the seconds until the next.

    A round that has begun is finished before `stop` is done, so that what comes after a stop does
    not overtake a request of the round.
    """

    def __init__(self, clock: IReactorTime, once: Callable[[], Coroutine[Any, Any, float]]) -> None:
        self._clock = clock
        self._once = once
        self._pause: IDelayedCall | None = None
        self._wake: Deferred[None] | None = None
        self._stopping = False
        self._running: Deferred[None] | None = None

    def start(self) -> None:
        """Begin the first round."""
        self._running = Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        while not self._stopping:
            try:
                seconds = await self._once()
            except Exception:
                log.failure("a round of requests to the API server broke")
                seconds = AFTER_A_BREAK
            if not self._stopping:
                await self._rest(seconds)

    async def _rest(self, seconds: float) -> None:
        wake = self._wake = Deferred()
        self._pause = self._clock.callLater(seconds, wake.callback, None)
        await wake
        self._wake = self._pause = None

    def hasten(self) -> None:
        """Begin the next round now, if none is under way."""
        if self._wake is not None and self._pause is not None:
            if self._pause.active():
                self._pause.cancel()
            wake, self._wake = self._wake, None
            wake.callback(None)

    @property
    def stopping(self) -> bool:
        """Whether there will be no further round."""
        return self._stopping

    def stop(self) -> Deferred[None]:
        """Fires when the round that is under way is over; there is no other."""
        self._stopping = True
        over: Deferred[None] = Deferred()
        if self._running is None or self._running.called:
            over.callback(None)
            return over
        self._running.addCallback(over.callback)
        self.hasten()
        return over
