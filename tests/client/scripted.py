"""A proxy played by the test: what clients send is kept, what they receive is said line by line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.test import iosim
from zope.interface import implementer

from konnect.pb.konnect_pb2 import Packet
from konnect.wire import packets
from konnect.wire.events import HalfClosed, MessageReceived, StreamEnded, StreamOpened
from konnect.wire.grpc import GrpcConnection, Limits, Role
from konnect.wire.packets import PacketType

CONNECT_ID = 7


class ScriptedProxy(Protocol):
    """The frontend's side of one gRPC connection."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.wire = GrpcConnection(Role.SERVER, limits or Limits())
        self.opened: list[StreamOpened] = []
        self.ended: list[StreamEnded] = []
        self.packets: list[tuple[int, Packet]] = []
        self.holding = False
        """Whether received messages are left unacknowledged, so that the client's window shuts."""
        self.owed: list[tuple[int, int]] = []
        self.lost = False

    def connectionMade(self) -> None:
        self.wire.start()
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        for event in self.wire.receive(data):
            if isinstance(event, StreamOpened):
                self.opened.append(event)
            elif isinstance(event, MessageReceived):
                self.packets.append((event.stream_id, packets.parse(event.payload)))
                self.owed.append((event.stream_id, event.cost))
            elif isinstance(event, StreamEnded):
                self.ended.append(event)
            elif isinstance(event, HalfClosed):
                raise AssertionError("a client must not half-close its stream")
        if not self.holding:
            self.take()
        self.flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True

    def take(self) -> None:
        """Acknowledge everything received."""
        for stream_id, cost in self.owed:
            self.wire.acknowledge(stream_id, cost)
        self.owed.clear()
        self.flush()

    def flush(self) -> None:
        """Write what the windows allow."""
        data = self.wire.output()
        if data and not self.lost:
            cast(Any, self.transport).write(data)

    def send(self, *payloads: bytes, stream: int = 1) -> None:
        """Send messages on a stream, in one write."""
        for payload in payloads:
            self.wire.send_message(stream, payload)
        self.flush()

    def of_type(self, kind: PacketType, stream: int = 1) -> list[Packet]:
        """The packets of one type that came on a stream."""
        mine = [packet for number, packet in self.packets if number == stream]
        return [packet for packet in mine if int(packet.type) == kind]

    def request(self, stream: int = 1) -> Any:
        """The one DIAL_REQ of a stream."""
        (packet,) = self.of_type(PacketType.DIAL_REQ, stream)
        return packet.dialRequest

    def accept(self, *behind: bytes, stream: int = 1) -> None:
        """Answer the dial of a stream with success, with `behind` right behind it."""
        answer = packets.dial_rsp(self.request(stream).random, connect_id=CONNECT_ID)
        self.send(answer, *behind, stream=stream)

    def received(self, stream: int = 1) -> bytes:
        """The bytes of all DATA on a stream."""
        return b"".join(packet.data.data for packet in self.of_type(PacketType.DATA, stream))


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """Leads to peers in memory, a new one for each connection. `flush` moves the bytes."""

    def __init__(self, clock: Clock, make_peer: Callable[[], Any] = ScriptedProxy) -> None:
        self.peers: list[Any] = []
        self.clients: list[Any] = []
        """Our sides of the connections, as many as peers."""
        self.failure: Exception | None = None
        self.slow = False
        """Whether connecting waits for `complete`."""
        self.waiting: list[tuple[Deferred[IProtocol], IProtocolFactory]] = []
        self.cancelled = 0
        self._clock = clock
        self._make_peer = make_peer
        self._pumps: list[iosim.IOPump] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        if self.failure is not None:
            return fail(self.failure)
        connecting: Deferred[IProtocol] = Deferred(self._count_cancel)
        self.waiting.append((connecting, protocolFactory))
        if not self.slow:
            self.complete()
        return connecting

    def _count_cancel(self, connecting: Deferred[IProtocol]) -> None:
        self.cancelled += 1

    def complete(self) -> None:
        """Connect the one that has waited longest."""
        connecting, factory = self.waiting.pop(0)
        protocol = cast(Any, factory.buildProtocol(cast(Any, None)))
        peer = self._make_peer()
        self.peers.append(peer)
        self.clients.append(protocol)
        self._pumps.append(
            iosim.connect(
                peer,
                iosim.makeFakeServer(peer),
                protocol,
                iosim.makeFakeClient(protocol),
                greet=False,
                clock=self._clock,
            )
        )
        connecting.callback(protocol)

    def flush(self) -> None:
        """Move bytes until nothing moves."""
        moved = True
        while moved:
            results = [pump.flush() for pump in self._pumps]
            moved = any(results)


class Recorder(Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.made = 0
        self.data: list[bytes] = []
        self.lost: list[Failure] = []

    def connectionMade(self) -> None:
        self.made += 1

    def dataReceived(self, data: bytes) -> None:
        assert not self.lost
        self.data.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(reason)

    @property
    def bytes(self) -> bytes:
        """All that was received."""
        return b"".join(self.data)

    @property
    def tunnel(self) -> Any:
        """Its transport."""
        return self.transport


@implementer(IHalfCloseableProtocol)
class HalfCloseableRecorder(Recorder):
    """A recorder that can be told the end of one direction."""

    read_ended = False
    write_ended = False

    def readConnectionLost(self) -> None:
        self.read_ended = True

    def writeConnectionLost(self) -> None:
        self.write_ended = True


class CountingFactory(Factory):
    """Builds recorders, and counts its starts and stops."""

    noisy = False

    def __init__(self, make: Callable[[], Protocol] = Recorder) -> None:
        self.started = 0
        self.stopped = 0
        self._make = make

    def startFactory(self) -> None:
        self.started += 1

    def stopFactory(self) -> None:
        self.stopped += 1

    def buildProtocol(self, addr: object) -> Protocol:
        self.address = addr
        protocol = self._make()
        protocol.factory = self
        return protocol
