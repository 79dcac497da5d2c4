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
from konnect.net.tcp import DRAWN_PORTS, meets_itself, refusal

log = make_logger(__name__)


def stock_reach(reactor: Any) -> Reach:
    """The stock way to destinations over `reactor`, an IReactorTCP."""
    return partial(_Attempt, reactor)


class _Made(Factory):
    """Makes one protocol."""

    noisy = False

    def __init__(self, make: Make, attempt: _Attempt) -> None:
        self._make = make
        self._attempt = attempt

    def buildProtocol(self, addr: Any) -> Any:
        if self._attempt.meets_itself():
            raise refusal()
        return self._make()


class _Attempt:
    """One attempt to connect; see `konnect.agent.dialing.Reach`."""

    def __init__(self, reactor: Any, ip: str, port: int, make: Make, taker: Taker) -> None:
        self._reactor = reactor
        self._connector: Any = None
        self._port = port
        self._taker = taker
        endpoint = TCP6ClientEndpoint if ":" in ip else TCP4ClientEndpoint
        # Without a timer for each attempt, which is what None asks for.
        connecting = endpoint(self, ip, port, timeout=None)  # type: ignore[arg-type]
        self._outcome = connecting.connect(_Made(make, self))
        self._outcome.addCallbacks(taker.connected, self._failed)
        self._outcome.addErrback(_unusable)

    def connectTCP(self, *args: Any, **settings: Any) -> Any:
        """As the reactor of the endpoint, which does not say which transport it uses."""
        self._connector = self._reactor.connectTCP(*args, **settings)
        return self._connector

    def meets_itself(self) -> bool:
        """Whether the socket, which is connected, is so to itself."""
        transport = getattr(self._connector, "transport", None)
        if transport is None or self._port not in DRAWN_PORTS:
            return False
        return meets_itself(transport.getHandle(), self._port)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError, ConnectingCancelledError):
            self._taker.failed(failure.value)  # type: ignore[arg-type]

    def cancel(self) -> None:
        """See `konnect.agent.dialing.Cancellable`."""
        self._outcome.cancel()


def _unusable(failure: Failure) -> None:
    log.failure("a dial's outcome could not be used", failure)
