"""A TLS server and a TLS client joined in memory, and what became of their handshake."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect
from zope.interface import implementer

from konnect.net.diagnosis import explain, with_peer
from konnect.net.tls import peer_name

SERVER = IPv4Address("TCP", "192.0.2.1", 8090)
CLIENT = IPv4Address("TCP", "192.0.2.2", 40000)


@implementer(IHandshakeListener)
class Recorder(Protocol):
    """Notes what TLS tells it."""

    def __init__(self) -> None:
        self.secure = False
        self.alpn: bytes | None = None
        self.peer: str | None = None
        self.received = b""
        self.ended: str | None = None

    def handshakeCompleted(self) -> None:
        self.secure = True
        transport: Any = self.transport
        self.alpn = transport.negotiatedProtocol
        self.peer = peer_name(transport)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended = with_peer(explain(reason, self.transport), self.transport)

    @property
    def handle(self) -> SSL.Connection:
        """The pyOpenSSL connection."""
        transport: Any = self.transport
        connection: SSL.Connection = transport.getHandle()
        return connection


@implementer(IOpenSSLClientConnectionCreator)
class AnyClient:
    """A client with whatever context a test makes for it."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def clientConnectionForTLS(self, protocol: object) -> SSL.Connection:
        return SSL.Connection(self._context, None)


class TlsPair:
    """Both ends, after everything that they had to say to each other was said."""

    def __init__(
        self,
        server_tls: IOpenSSLServerConnectionCreator | None,
        client_tls: IOpenSSLClientConnectionCreator | None,
    ) -> None:
        """A side without TLS (None) sends and receives in plain text."""
        self.server, self.client = Recorder(), Recorder()
        self.clock = Clock()
        top = _wrapped(self.server, server_tls, False, self.clock)
        bottom = _wrapped(self.client, client_tls, True, self.clock)
        self.pump: IOPump = connect(
            top,
            FakeTransport(top, isServer=True, hostAddress=SERVER, peerAddress=CLIENT),
            bottom,
            FakeTransport(bottom, isServer=False, hostAddress=CLIENT, peerAddress=SERVER),
            clock=self.clock,
        )
        self.pump.flush()

    def say(self, sender: Recorder, data: bytes) -> None:
        """Send and deliver `data`."""
        transport: Any = sender.transport
        transport.write(data)
        self.clock.advance(0)
        self.pump.flush()


def _wrapped(protocol: Protocol, tls: Any, is_client: bool, clock: Clock) -> Any:
    if tls is None:
        return protocol
    plain = Factory()
    plain.buildProtocol = lambda address: protocol  # type: ignore[method-assign,assignment]
    return TLSMemoryBIOFactory(tls, is_client, plain, clock=clock).buildProtocol(CLIENT)
