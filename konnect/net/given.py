"""Server endpoint strings, and unix sockets that somebody else has bound, as systemd does.

Such a socket and its file belong to who bound it: the file keeps its mode, and it stays when the
program ends, as the socket does, so that whoever connects meanwhile waits for the next one.
Twisted's `systemd:` makes the file writable for everybody (which only its owner may, so for others
the program does not start), and at the end it shuts the socket down and removes the file.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import AdoptedStreamServerEndpoint, serverFromString
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.protocols.haproxy import proxyEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from konnect.net.hub.reactor import HubReactor


def server_endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    """What the endpoint string says; raises what Twisted raises for a wrong one."""
    prefix, _, behind = description.partition(":")
    if prefix == "haproxy":
        # As its parser does it, which would let Twisted take the socket that is behind it.
        around: IStreamServerEndpoint = proxyEndpoint(server_endpoint(reactor, behind))
        return around
    endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    given = endpoint if isinstance(endpoint, AdoptedStreamServerEndpoint) else None
    if given is not None and given.addressFamily == socket.AF_UNIX:
        return GivenUnixServer(reactor, given.fileno)
    return endpoint


@implementer(IStreamServerEndpoint)
class GivenUnixServer:
    """
    Listens on a unix socket that is bound and listens already.

    :param reactor: may be the hub's; the connections are the stock reactor's all the same.
    :param descriptor: of the socket; closed when it is listened on, and so good for once.
    """

    def __init__(self, reactor: Any, descriptor: int) -> None:
        self._reactor = reactor.stock if isinstance(reactor, HubReactor) else reactor
        self._descriptor = descriptor

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See IStreamServerEndpoint; fails with OSError where there is no such socket."""
        return execute(self._listen, factory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        given = socket.fromfd(self._descriptor, socket.AF_UNIX, socket.SOCK_STREAM)
        os.close(self._descriptor)
        given.setblocking(False)
        port = _GivenPort(given, factory, self._reactor)
        port.startListening()
        return port


class _GivenPort(unix.Port):
    # The socket is shared: it must not be shut down for the others that have it.
    _shouldShutdown = False

    def __init__(self, given: socket.socket, factory: Any, reactor: Any) -> None:
        super().__init__(given.getsockname(), factory, reactor=reactor)
        self._given = given
        self._factory = factory

    def startListening(self) -> None:
        """Accept; it is bound already."""
        tcp._reservedFD.reserve()  # which accepts and drops clients when there are no others left
        self._factory.doStart()
        self.socket = self._given
        self.fileno = self._given.fileno  # type: ignore[method-assign]
        self.connected = True
        self.numberAccepts = 100
        self.startReading()

    def connectionLost(self, reason: Failure) -> None:
        """Close our descriptor, and leave the file."""
        tcp.Port.connectionLost(self, reason)
