"""The stock reactor, except that its TCP and unix connections and listeners are the hub's.

So everything that Twisted builds on a reactor works on the hub: endpoint strings with all their
settings, `HostnameEndpoint` with its name lookups and its race of addresses. What the hub does not
know (TLS by Twisted, a name in `connectTCP`) is the stock reactor's as before.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.error import NotConnectingError, UserError
from twisted.internet.interfaces import IConnector
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer, providedBy

from konnect.net.hub.connecting import Attempt
from konnect.net.hub.facts import Socket, address_of, resolved
from konnect.net.hub.given_ports import GivenPort
from konnect.net.hub.loop import hub_of
from konnect.net.hub.ports import TcpPort
from konnect.net.hub.transport import DONE, StreamTransport
from konnect.net.hub.unix_ports import UnixPort
from konnect.net.tls import ServerTls


class HubReactor:
    """
    See the module. The methods are IReactorTCP's, IReactorUNIX's, and IReactorSocket's for ports.

    :param stock: the reactor that runs.
    :param tls: what its ports speak on the connections that they accept.
    """

    def __init__(self, stock: Any, tls: ServerTls | None = None) -> None:
        self.stock = stock
        self._tls = tls
        self.hub = hub_of(stock)
        directlyProvides(self, providedBy(stock))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stock, name)

    def with_tls(self, tls: ServerTls) -> HubReactor:
        """The same with ports that speak TLS."""
        return HubReactor(self.stock, tls)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> TcpPort:
        """Listen on a TCP port; raises CannotListenError."""
        listener = TcpPort(self.hub, port, factory, backlog, interface, tls=self._tls)
        listener.startListening()
        return listener

    def listenUNIX(
        self,
        address: str | bytes,
        factory: Any,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> UnixPort:
        """Listen at a path; raises CannotListenError."""
        listener = UnixPort(self.hub, address, factory, backlog, mode, bool(wantPID), tls=self._tls)
        listener.startListening()
        return listener

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> GivenPort:
        """Listen on a socket that listens already; its own family counts. Raises OSError."""
        listener = GivenPort(self.hub, fileDescriptor, factory, tls=self._tls)
        listener.startListening()
        return listener

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float | None = 30,
        bindAddress: Any = None,
    ) -> Any:
        """Connect to an IP address."""
        known = isIPAddress(host) or isIPv6Address(host)
        if not known or not isinstance(bindAddress, tuple | None):
            return self.stock.connectTCP(host, port, factory, timeout, bindAddress)
        return Connector(self, *resolved(host, port), factory, timeout, bindAddress)

    def connectUNIX(
        self,
        address: str | bytes,
        factory: Any,
        timeout: float | None = 30,
        checkPID: bool = False,
    ) -> Any:
        """Connect to the socket at a path."""
        if checkPID:
            return self.stock.connectUNIX(address, factory, timeout, checkPID)
        return Connector(self, socket.AF_UNIX, os.fsencode(address), factory, timeout, None)


@implementer(IConnector)
class Connector:
    """One connection as a ClientFactory sees it: under way, open, or over."""

    def __init__(
        self,
        reactor: HubReactor,
        family: int,
        name: Any,
        factory: Any,
        timeout: float | None,
        local: tuple[str, int] | None,
    ) -> None:
        self._hub = reactor.hub
        self._address = (family, name)
        self._factory = factory
        self._timeout = timeout
        self._local = local
        self._attempt: Attempt | None = None
        self._transport: StreamTransport | None = None
        self._started = False
        self.connect()

    def connect(self) -> None:
        """Begin, or begin again."""
        if not self._started:  # not once more within the call that tells of the last one's end
            self._started = True
            self._factory.doStart()
        self._attempt = Attempt(
            self._hub,
            *self._address,
            self,
            timeout=self._timeout,
            local=self._local[:2] if self._local else None,
        )
        self._factory.startedConnecting(self)

    def stopConnecting(self) -> None:
        """Give up an attempt that is under way."""
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            raise NotConnectingError("we're not trying to connect")
        attempt.cancel()
        self._over(UserError())

    def disconnect(self) -> None:
        """Stop, whatever the state is."""
        if self._attempt is not None:
            self.stopConnecting()
        elif self._transport is not None:
            self._transport.loseConnection()

    def getDestination(self) -> Any:
        """Where to."""
        return address_of(*self._address)

    def connected(self, sock: Socket) -> None:
        """See `konnect.net.hub.connecting.Taker`."""
        self._attempt = None
        hub = self._hub
        try:
            protocol = self._factory.buildProtocol(self.getDestination())
        except BaseException as error:
            hub.complain(error)
            protocol = None
        transport = StreamTransport(hub, sock, protocol, self._address, on_lost=self._lost)
        if protocol is None:
            transport.discard()
            self._lost(DONE)
            return
        self._transport = transport
        transport.begin()

    def failed(self, error: Exception) -> None:
        """See `konnect.net.hub.connecting.Taker`."""
        self._attempt = None
        self._over(error)

    def _over(self, error: Exception) -> None:
        self._factory.clientConnectionFailed(self, Failure(error))
        self._idle()

    def _lost(self, reason: Failure) -> None:
        self._transport = None
        self._factory.clientConnectionLost(self, reason)
        self._idle()

    def _idle(self) -> None:
        if self._attempt is None and self._started:
            self._started = False
            self._factory.doStop()
