"""Server endpoint strings, and sockets that somebody else has bound, as systemd does.

Such a socket, and a unix socket's file, belong to who bound it: the file keeps its mode, and it
stays when the program ends, as the socket does, so that whoever connects meanwhile waits for the
next one. Twisted's `systemd:` makes the file writable for everybody (which only its owner may, so
for others the program does not start), and at the end it shuts the socket down and removes the
file. The hub serves these sockets like its own.
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

from konnect.net.hub.given_ports import duplicate
from konnect.net.hub.reactor import HubReactor


def server_endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    """What the endpoint string says; raises what Twisted raises for a wrong one."""
    prefix, _, behind = description.partition(":")
    if prefix == "haproxy":
        # Its parser does the same, and would let Twisted take the socket that is behind it.
        around: IStreamServerEndpoint = proxyEndpoint(_Quiet(server_endpoint(reactor, behind)))
        return around
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    except LookupError as error:
        if prefix != "systemd":
            raise
        raise ValueError(f"systemd has given no such socket: {error}") from None
    if isinstance(endpoint, AdoptedStreamServerEndpoint):
        return GivenServer(reactor, endpoint.fileno, endpoint.addressFamily)
    return endpoint


@implementer(IStreamServerEndpoint)
class GivenServer:
    """
    Listens on a socket that is bound and listens already.

    :param descriptor: of the socket; good for once.
    :param family: what the socket is said to be; between IPv4 and IPv6 its own word counts, since
        systemd opens an IPv4 socket where there is no IPv6.
    """

    def __init__(self, reactor: Any, descriptor: int, family: int) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._family = family

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See IStreamServerEndpoint; fails with OSError or ValueError where there is no such
        socket."""
        return execute(self._listen, factory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        with _looked_at(self._descriptor, self._family) as given:
            port: IListeningPort
            if given.family == socket.AF_UNIX and not isinstance(self._reactor, HubReactor):
                port = _GivenPort(given.dup(), factory, self._reactor)
                port.startListening()
            else:
                given.setblocking(False)
                port = self._reactor.adoptStreamPort(given.fileno(), given.family, factory)
        _give_up(self._descriptor)
        return port


@implementer(IStreamServerEndpoint)
class _Quiet:
    """An endpoint whose factory, somebody else's, does not tell when it starts and stops."""

    def __init__(self, endpoint: IStreamServerEndpoint) -> None:
        self._endpoint = endpoint

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See IStreamServerEndpoint."""
        factory.noisy = False  # type: ignore[attr-defined]
        return self._endpoint.listen(factory)


def _looked_at(descriptor: int, family: int) -> socket.socket:
    """The socket by a descriptor of its own; raises ValueError unless it is what it is said to
    be."""
    given = duplicate(descriptor)
    try:
        if given.type != socket.SOCK_STREAM or not given.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            raise ValueError(f"descriptor {descriptor} is no stream socket that listens")
        # Whether it is a unix socket decides who may come in.
        if (given.family == socket.AF_UNIX) != (family == socket.AF_UNIX):
            raise ValueError(
                f"descriptor {descriptor} is a socket of the domain"
                f" {given.family.name.removeprefix('AF_')}"
            )
    except BaseException:
        given.close()
        raise
    return given


def _give_up(descriptor: int) -> None:
    """Close the descriptor but keep its number, which would else become another file's: a second
    endpoint that is given it would serve, and close, whatever that is."""
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)


class _GivenPort(unix.Port):
    # The socket is shared: it must not be shut down for the others that have it.
    _shouldShutdown = False

    def __init__(self, given: socket.socket, factory: Any, reactor: Any) -> None:
        super().__init__(given.getsockname(), factory, reactor=reactor)
        given.setblocking(False)
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
