"""The stock reactor, except that a TCP connection to itself is a refusal, as it is on the hub."""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure
from zope.interface import directlyProvides, providedBy

from konnect.net.tcp import DRAWN_PORTS, meets_itself, refusal


class StockReactor:
    """
    Makes the connections of a program that is on stock transports.

    :param reactor: the one that runs.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float | None = 30,
        bindAddress: Any = None,
    ) -> Any:
        """See IReactorTCP."""
        if port in DRAWN_PORTS or bindAddress is not None:
            factory = _Wary(factory, port)
        return self._reactor.connectTCP(host, port, factory, timeout, bindAddress)


class _Wary:
    """A client factory that fails where it would be connected to itself."""

    def __init__(self, factory: Any, port: int) -> None:
        self._factory = factory
        self._port = port
        self._connector: Any = None
        self._refused = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)

    def startedConnecting(self, connector: Any) -> None:
        self._connector = connector
        self._refused = False
        self._factory.startedConnecting(connector)

    def buildProtocol(self, addr: Any) -> Any:
        transport = getattr(self._connector, "transport", None)
        if transport is None or not meets_itself(transport.getHandle(), self._port):
            return self._factory.buildProtocol(addr)
        self._refused = True
        self._factory.clientConnectionFailed(self._connector, Failure(refusal()))
        return None  # which lets the socket be closed

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        if not self._refused:
            self._factory.clientConnectionLost(connector, reason)
