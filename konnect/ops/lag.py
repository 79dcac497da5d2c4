"""How long the event loop is held up: a timer that looks at how late it comes."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from konnect.tunnel.histogram import Histogram

INTERVAL = 0.5
"""Seconds between two looks. A hold-up of a tenth of a second is met by one look in five."""


class LagMeter:
    """Observes the reactor's lag, in seconds, from `start` to `stop`."""

    def __init__(self, clock: IReactorTime, observed: Histogram) -> None:
        self._clock = clock
        self._observed = observed
        self._call: IDelayedCall | None = None
        self._due = 0.0

    def start(self) -> None:
        """Begin to look."""
        self._due = self._clock.seconds() + INTERVAL
        self._call = self._clock.callLater(INTERVAL, self._look)

    def stop(self) -> None:
        """Look no more; harmless when it was not started."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._observed.observe(self._clock.seconds() - self._due)
        self.start()
