"""Connecting to a destination with the stock reactor's endpoints."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from konnect.agent.dialing import Make, Reach, Taker
from konnect.log import make_logger
from konnect.net.stock import StockReactor

log = make_logger(__name__)


def stock_reach(reactor: Any) -> Reach:
    """The stock way to destinations over `reactor`, an IReactorTCP."""
    return partial(_Attempt, StockReactor(reactor))


class _Made(Factory):
    """Makes one protocol."""

    noisy = False

    def __init__(self, make: Make) -> None:
        self._make = make

    def buildProtocol(self, addr: Any) -> Any:
        return self._make()


class _Attempt:
    """One attempt to connect; see `konnect.agent.dialing.Reach`."""

    def __init__(self, reactor: Any, ip: str, port: int, make: Make, taker: Taker) -> None:
        self._taker = taker
        endpoint = TCP6ClientEndpoint if ":" in ip else TCP4ClientEndpoint
        # Without a timer for each attempt, which is what None asks for.
        connecting = endpoint(reactor, ip, port, timeout=None)  # type: ignore[arg-type]
        self._outcome = connecting.connect(_Made(make))
        self._outcome.addCallbacks(taker.connected, self._failed)
        self._outcome.addErrback(_unusable)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError, ConnectingCancelledError):
            self._taker.failed(failure.value)  # type: ignore[arg-type]

    def cancel(self) -> None:
        """See `konnect.agent.dialing.Cancellable`."""
        self._outcome.cancel()


def _unusable(failure: Failure) -> None:
    log.failure("a dial's outcome could not be used", failure)
