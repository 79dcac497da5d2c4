"""A client endpoint that leads to a name and can be told which of its addresses to take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.abstract import isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import (
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from zope.interface import alsoProvides, directlyProvides, implementer, providedBy

from konnect.net.tls import Tls


@implementer(IStreamClientEndpoint)
class NamedEndpoint:
    """
    Connects to a host, by name or address.

    :param reach: makes the endpoint around a plain TCP one: TLS.
    :param timeout: seconds for the TCP connection.
    :param through: the name of the HTTP proxy that `host` is, if what is wanted lies behind one.
    :param tls: what `reach` makes connections with, for who follows its files.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        reach: Callable[[IStreamClientEndpoint], IStreamClientEndpoint],
        *,
        timeout: float,
        bind_address: Any = None,
        tls: Tls | None = None,
        through: str = "",
    ) -> None:
        self.tls = tls
        self.through = through
        self.host = host
        self.port = port
        self._reactor = reactor
        self._reach = reach
        self._timeout = timeout
        self._bind_address = bind_address

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint; the name is looked up."""
        return self._through(self._reactor).connect(factory)

    def at(
        self, addresses: Sequence[str] | None, *, within: float | None = None
    ) -> IStreamClientEndpoint:
        """
        The same endpoint, whose name has these IP addresses; None: those that a lookup gives.

        They are raced as after a lookup: from the first on, the next one each time the others
        have not answered for a moment. `within`: seconds for the TCP connection to each, if that
        is less than usual.
        """
        reactor = self._reactor if addresses is None else _Knowing(self._reactor, addresses)
        return self._through(reactor, within)

    def _through(self, reactor: Any, within: float | None = None) -> IStreamClientEndpoint:
        timeout = self._timeout if within is None else min(within, self._timeout)
        return self._reach(
            HostnameEndpoint(reactor, self.host, self.port, timeout, self._bind_address)
        )


class _Knowing:
    """A reactor that knows the addresses of every name, for a HostnameEndpoint."""

    def __init__(self, reactor: Any, addresses: Sequence[str]) -> None:
        self._reactor = reactor
        self._addresses = addresses
        self.nameResolver = self
        directlyProvides(self, providedBy(reactor))
        alsoProvides(self, IReactorPluggableNameResolver)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def resolveHostName(
        self,
        receiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """See IHostnameResolver."""
        resolution = _Known(hostName)
        receiver.resolutionBegan(resolution)
        for ip in self._addresses:
            kind = IPv6Address if isIPv6Address(ip) else IPv4Address
            receiver.addressResolved(kind("TCP", ip, portNumber))
        receiver.resolutionComplete()
        return resolution


@implementer(IHostResolution)
class _Known:
    """A lookup that was over before it began."""

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """There is nothing to cancel."""
