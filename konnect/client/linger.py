"""How long a connection may take to end: as long as bytes go out, and some time more."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from konnect.net.unwritten import unwritten


class Linger:
    """
    Aborts `transport` when for `seconds` nothing of what it holds has gone out.

    Begins when it is made.
    """

    def __init__(self, transport: Any, clock: IReactorTime, seconds: float) -> None:
        self._transport = transport
        self._clock = clock
        self._seconds = seconds
        self._call: IDelayedCall | None = None
        self._begin()

    def stop(self) -> None:
        """The transport is gone."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _begin(self) -> None:
        self._unwritten = unwritten(self._transport)
        self._call = self._clock.callLater(self._seconds, self._look)

    def _look(self) -> None:
        self._call = None
        if unwritten(self._transport) < self._unwritten:
            self._begin()
        else:
            self._transport.abortConnection()
