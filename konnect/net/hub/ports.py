"""Listening on the hub, with or without TLS on what is accepted: TCP sockets, and what all have.

Connections are accepted in batches. When the process has no descriptor left, or the kernel no room
to watch another, accepting pauses for a moment and one line says so; a stock listener would then
accept and drop clients, or spin.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from zope.interface import implementer

from konnect.log import make_logger
from konnect.net.hub.facts import Socket, address_of, resolved
from konnect.net.hub.loop import IN, Hub
from konnect.net.hub.tls import TlsTransport
from konnect.net.hub.transport import StreamTransport
from konnect.net.tcp import be_prompt, be_watchful
from konnect.net.tls import ServerTls

log = make_logger(__name__)

BATCH = 64
"""Connections accepted in one event."""

PAUSE = 0.2
"""Seconds without accepting when there are no descriptors left."""

BACKLOG = 1024
"""Least number of connections that the kernel is asked to keep until they are accepted."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@implementer(IListeningPort)
class Port:
    """
    One listening socket; which one comes from the subclass.

    :param tls: what is spoken on the connections.
    """

    def __init__(self, hub: Hub, factory: Any, backlog: int, tls: ServerTls | None) -> None:
        self._hub = hub
        self.factory = factory
        self._backlog = max(backlog, BACKLOG)
        self._tls = tls
        self._sock: socket.socket | None = None
        self._family = 0
        self._resume_call: Any = None
        self._exhausted = False
        self._stopped: Deferred[None] | None = None
        self.fd = -1
        self.mask = 0

    # -- IListeningPort

    def startListening(self) -> None:
        """Bind and listen; raises CannotListenError."""
        sock = self._bound()
        try:
            self._listen(sock)
        except OSError as error:
            sock.close()
            self._unbind()
            raise self._cannot(error) from error
        self._sock, self._family, self.fd = sock, sock.family, sock.fileno()
        self.factory.doStart()
        unserved = self._hub.add(self, IN)
        if unserved is not None:
            self._close()
            raise self._cannot(unserved) from unserved

    def stopListening(self) -> Deferred[None]:
        """Close the socket; what it accepted lives on."""
        done: Deferred[None] = Deferred()
        if self._sock is None or self._stopped is not None:
            done.callback(None)
            return done
        self._stopped = done
        self._hub.want(self, 0)
        self._hub.flush_later(self)
        return done

    def getHost(self) -> Any:
        """The address listened on."""
        assert self._sock is not None
        return address_of(self._family, self._sock.getsockname())

    # -- the hub's channel

    def handle(self, events: int) -> None:
        """Accept what waits, up to a batch."""
        sock: Any = self._sock
        for _ in range(BATCH):
            if sock is None or self.mask == 0:
                return
            try:
                # As `accept` does it, for a `Socket`.
                descriptor, peer = sock._accept()
                accepted = Socket(self._family, socket.SOCK_STREAM, 0, descriptor)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                    return
                continue  # a client that has left already
            accepted.setblocking(False)
            try:
                unserved = self._connected(accepted, peer)
            except BaseException as error:
                accepted.close()
                self._hub.complain(error)
            else:
                if unserved is not None:
                    self._pause(unserved)
                else:
                    self._exhausted = False

    def _connected(self, accepted: Socket, peer: Any) -> OSError | None:
        address = (self._family, peer)
        known = address_of(*address)
        protocol = self.factory.buildProtocol(known)
        if protocol is None:
            accepted.close()
            return None
        transport: StreamTransport
        if self._tls is None:
            transport = StreamTransport(self._hub, accepted, protocol, address, prompt=True)
        else:
            transport = TlsTransport(self._hub, accepted, protocol, address, self._tls, prompt=True)
        transport.peer_is(known)
        return transport.begin()

    def _pause(self, error: OSError) -> None:
        if self._stopped is not None or self._resume_call is not None:
            return
        if not self._exhausted:
            self._exhausted = True
            log.error(
                "cannot accept connections at {at}: {error}; trying on",
                at=self.getHost(),
                error=error.strerror,
            )
        self._hub.want(self, 0)
        self._resume_call = self._hub.reactor.callLater(PAUSE, self._resume)

    def _resume(self) -> None:
        self._resume_call = None
        self._hub.want(self, IN)

    def flush(self) -> None:
        """The turn after `stopListening` is over."""
        self._close()
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped.callback(None)

    def failed(self, error: BaseException) -> None:
        """See `konnect.net.hub.channel.Channel`; a listener waits until there is room."""
        if isinstance(error, OSError) and self._sock is not None:
            self._pause(error)
        else:
            self._close()

    def _close(self) -> None:
        sock, self._sock = self._sock, None
        if sock is None:
            return
        if self._resume_call is not None:
            self._resume_call.cancel()
            self._resume_call = None
        self._hub.drop(self)
        sock.close()
        self.fd = -1
        self._unbind()
        self.factory.doStop()

    # -- what subclasses say

    def _bound(self) -> socket.socket:
        """A bound socket; raises CannotListenError."""
        raise NotImplementedError

    def _listen(self, sock: socket.socket) -> None:
        """Begin to listen; raises OSError."""
        self._tune(sock)
        sock.listen(self._backlog)

    def _tune(self, sock: socket.socket) -> None:
        """What all that the socket accepts is to have: then it is not asked for one by one."""
        if sock.family != socket.AF_UNIX:
            be_watchful(sock)
            be_prompt(sock, bulk=self._tls is not None)

    def _unbind(self) -> None:
        """The socket is closed."""

    def _cannot(self, error: OSError) -> CannotListenError:
        raise NotImplementedError


class TcpPort(Port):
    """A TCP listener. `interface` is a numeric address; empty: all of IPv4, as for Twisted."""

    def __init__(
        self,
        hub: Hub,
        port: int,
        factory: Any,
        backlog: int,
        interface: str,
        *,
        tls: ServerTls | None = None,
    ) -> None:
        super().__init__(hub, factory, backlog, tls)
        self._port = port
        self._interface = interface

    def _bound(self) -> socket.socket:
        sock = None
        try:
            family, name = resolved(self._interface, self._port)
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(name)
        except OSError as error:
            if sock is not None:
                sock.close()
            raise self._cannot(error) from error
        return sock

    def _cannot(self, error: OSError) -> CannotListenError:
        return CannotListenError(self._interface, self._port, error)
