"""What a transport says about its socket: addresses, options, handles."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from konnect.log import make_logger
from konnect.net.hub.loop import Hub
from konnect.net.hub.output import Output

log = make_logger(__name__)

Address = IPv4Address | IPv6Address | UNIXAddress

_NAMELESS = UNIXAddress(None)  # which is what clients of unix sockets are


Socket = socket.SocketType
"""What `socket.socket` is a subclass of: for all that we call it has the same methods without calls
in Python (110 opcodes and 9 calls for one that is accepted and closed)."""


def address_of(family: int, name: Any) -> Address:
    """`name` is what accept, getsockname and getpeername give for a socket of this family."""
    if family == socket.AF_UNIX:
        return UNIXAddress(name) if name else _NAMELESS
    if family == socket.AF_INET6:
        host = name[0]
        if len(name) > 3 and name[3]:
            # With the zone, which Python leaves out.
            host = socket.getnameinfo(name, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
        return IPv6Address("TCP", host, *name[1:])
    return IPv4Address("TCP", *name)


def resolved(ip: str, port: int) -> tuple[int, Any]:
    """
    (family, socket address) for a numeric IP address, which may have a zone.

    Raises OSError for what is none.
    """
    if ":" not in ip:
        return socket.AF_INET, (ip, port)
    if "%" not in ip:
        return socket.AF_INET6, (ip, port)
    found = socket.getaddrinfo(ip, port, socket.AF_INET6, socket.SOCK_STREAM, 0, _NUMERIC)
    return socket.AF_INET6, found[0][4]


_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class SocketFacts(Output):
    """
    The part of ITCPTransport and ISystemHandle that only looks at the socket.

    :param peer: the peer: (address family, socket address).
    :param prompt: whether TCP_NODELAY is set already.
    """

    __slots__ = ("_address", "_host", "_no_delay", "_peer", "_sock", "protocol")

    def __init__(
        self, hub: Hub, sock: Socket, protocol: Any, peer: tuple[int, Any], prompt: bool
    ) -> None:
        Output.__init__(self, hub, sock.fileno())
        self._sock: Socket | None = sock
        self._address = peer
        self._peer: Address | None = None
        self._host: Address | None = None
        self._no_delay = prompt
        self.protocol: Any = protocol

    def fileno(self) -> int:
        """The descriptor, -1 when it is closed."""
        return self.fd

    def getHandle(self) -> Any:
        """The socket; None when it is closed."""
        return self._sock

    def peer_is(self, address: Address) -> None:
        """What `getPeer` is to say, where somebody has made it already."""
        self._peer = address

    def getPeer(self) -> Any:
        """The peer's address."""
        if self._peer is None:
            self._peer = address_of(*self._address)
        return self._peer

    def getHost(self) -> Any:
        """Our own address; None if nobody asked before the socket was closed."""
        if self._host is None and self._sock is not None:
            self._host = address_of(self._sock.family, self._sock.getsockname())
        return self._host

    def is_tcp(self) -> bool:
        """Whether there is an open TCP socket below."""
        return self._sock is not None and self._address[0] != socket.AF_UNIX

    def getTcpNoDelay(self) -> bool:
        """See ITCPTransport; False for a unix socket."""
        return self.is_tcp() and self._option(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See ITCPTransport; nothing for a unix socket."""
        # Every tunnel asks for it, often twice: only once is it worth a system call.
        if enabled != self._no_delay and self.is_tcp():
            self._set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, enabled)
            self._no_delay = bool(enabled)

    def getTcpKeepAlive(self) -> bool:
        """See ITCPTransport."""
        return self._sock is not None and self._option(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See ITCPTransport."""
        if self._sock is not None:
            self._set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)

    def _option(self, level: int, name: int) -> bool:
        assert self._sock is not None
        return bool(self._sock.getsockopt(level, name))

    def _set_option(self, level: int, name: int, enabled: bool) -> None:
        assert self._sock is not None
        try:
            self._sock.setsockopt(level, name, int(enabled))
        except OSError as error:
            log.debug("a socket's option cannot be set: {error}", error=error)

    def logPrefix(self) -> str:
        """See ILoggingContext."""
        return type(self.protocol).__name__
