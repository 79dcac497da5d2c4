"""Keepalive of one connection: a ping after idleness, an end after an unanswered ping.

A quarter of the idle time is one tick, so the connection's receive path only sets a flag: no clock
is read and no timer is moved per packet. Idleness is therefore noticed between 1.0 and 1.25 times
the configured time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

TICKS = 4
ANSWER_TIMEOUT = 20.0
"""Seconds that a peer has to answer a ping (grpc's default, which upstream keeps)."""


class Keepalive:
    """Set `heard` on every receipt; `ping()` is called when idle, `silent()` when it is dead."""

    def __init__(
        self,
        clock: IReactorTime,
        idle: float,
        ping: Callable[[], None],
        silent: Callable[[], None],
    ) -> None:
        self.heard = False
        self._clock = clock
        self._tick_seconds = idle / TICKS
        self._ping = ping
        self._silent = silent
        self._idle_ticks = 0
        self._call: Any = None

    def start(self) -> None:
        """Begin to watch. An idle time of 0 watches nothing."""
        if self._tick_seconds > 0:
            self._call = self._clock.callLater(self._tick_seconds, self._tick)

    def stop(self) -> None:
        """End the watch; no delayed call is left."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _tick(self) -> None:
        self._call = None
        if self.heard:
            self.heard = False
            self._idle_ticks = 0
        else:
            self._idle_ticks += 1
        if self._idle_ticks < TICKS:
            self._call = self._clock.callLater(self._tick_seconds, self._tick)
        else:
            self._call = self._clock.callLater(ANSWER_TIMEOUT, self._unanswered)
            self._ping()

    def _unanswered(self) -> None:
        self._call = None
        if self.heard:
            self.heard = False
            self._idle_ticks = 0
            self.start()
        else:
            self._silent()
