"""A small HTTP proxy on loopback: it answers CONNECT and passes bytes, or refuses."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure


class _Side(Protocol):
    transport: Any

    def __init__(self) -> None:
        self.other: _Side | None = None

    def dataReceived(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        other, self.other = self.other, None
        if other is not None:
            other.transport.loseConnection()


class _Asked(_Side):
    def __init__(self, proxy: ForwardProxy) -> None:
        super().__init__()
        self._proxy = proxy
        self._head = b""

    def dataReceived(self, data: bytes) -> None:
        if self.other is not None:
            super().dataReceived(data)
            return
        self._head += data
        if not self._head.endswith(b"\r\n\r\n"):
            return
        self._proxy.heads.append(self._head)
        if self._proxy.refusal:
            self.transport.write(self._proxy.refusal)
            self.transport.loseConnection()
            return
        host, _, port = self._head.split()[1].decode().rpartition(":")
        endpoint = TCP4ClientEndpoint(self._proxy.reactor, host, int(port))
        endpoint.connect(Factory.forProtocol(_Side)).addCallback(self._connected)

    def _connected(self, other: Any) -> None:
        self.other, other.other = other, self
        self.transport.write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")


class ForwardProxy(Factory):
    """Remembers the heads of requests; `refusal` is what it answers in the place of a 200."""

    noisy = False

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.heads: list[bytes] = []
        self.refusal = b""
        self._listening: IListeningPort = reactor.listenTCP(0, self, interface="127.0.0.1")
        address: Any = self._listening.getHost()
        self.port: int = address.port

    def buildProtocol(self, addr: Any) -> _Asked:
        return _Asked(self)

    async def close(self) -> None:
        """Stop listening."""
        stopping: Any = self._listening.stopListening()
        await stopping
