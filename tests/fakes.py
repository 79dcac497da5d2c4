"""What the tests of tunnels put in the place of networks: streams, sockets, ends and dials.

The fakes keep what was done to them in a form that reads well in an assertion, and they refuse what
no peer may ever be sent: `FakeStream` a malformed packet, an empty DATA or one over 4 MiB,
`FakeSocket` a write behind its own end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, ISSLTransport
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from konnect.net.grpc_stream import GrpcStream, Metadata
from konnect.tunnel.ends import Bytes, End
from konnect.tunnel.link_sizes import MAX_FRAME
from konnect.tunnel.reasons import Reason
from konnect.wire import packets
from konnect.wire.inlet import PacketSink
from konnect.wire.packets import PacketType
from konnect.wire.status import OK, Status

Readable = tuple[Any, ...]


def readable(payload: bytes) -> Readable:
    """A packet as a tuple of its type's name and its fields."""
    packet = packets.parse(payload)
    match packet.type:
        case PacketType.DIAL_REQ:
            request = packet.dialRequest
            return "DIAL_REQ", request.protocol, request.address, request.random
        case PacketType.DIAL_RSP:
            response = packet.dialResponse
            told = "DIAL_RSP", response.random, response.connectID, response.error
            return (*told, response.fault) if response.fault else told
        case PacketType.DATA:
            return "DATA", packet.data.connectID, packet.data.data
        case PacketType.CLOSE_REQ:
            asked = packet.closeRequest
            return ("CLOSE_REQ", asked.connectID, *([asked.error] if asked.error else []))
        case PacketType.CLOSE_RSP:
            return "CLOSE_RSP", packet.closeResponse.connectID, packet.closeResponse.error
        case PacketType.DIAL_CLS:
            return "DIAL_CLS", packet.closeDial.random
        case PacketType.CREDIT:
            return "CREDIT", packet.credit.connectID, packet.credit.increment
        case PacketType.HALF_CLOSE:
            return "HALF_CLOSE", packet.halfClose.connectID
    return (packets.type_name(packet.type),)


class FakeStream(GrpcStream):
    """A gRPC stream whose peer is the test. `room` is what `send` answers."""

    def __init__(self) -> None:
        self.id = 1
        self.listener = None
        self.sent: list[Readable] = []
        self.room = True
        self.is_closing = False
        self.unread = self.waiting = 0
        self.acknowledged = 0
        self.owed = 0
        self.metadata: Metadata | None = None
        self.ending: tuple[Status, str] | None = None
        self.was_reset = False
        self.brisk = False
        self.trip = 0.0
        self.measured = 0
        self.leisure: list[Callable[[], object]] | None = None
        """What was put off, if anything may be."""

    @property
    def round_trip(self) -> float:
        return self.trip

    def measure_trip(self) -> None:
        self.measured += 1

    @property
    def over(self) -> bool:
        """Whether our side has ended it."""
        return self.ending is not None or self.was_reset

    def send(self, payload: bytes) -> bool:
        if self.over:
            return False
        packet = readable(payload)
        if len(payload) > packets.MAX_PACKET or (packet[0] == "DATA" and not packet[2]):
            raise AssertionError(f"a packet that no peer may get: {packet[:2]}, {len(payload)}")
        self.sent.append(packet)
        if not self.room:
            self.unread += len(payload) + 5
        return self.room and not self.is_closing

    @property
    def closing(self) -> bool:
        return self.is_closing

    @property
    def queued(self) -> int:
        return self.waiting

    @property
    def outstanding(self) -> int:
        return self.unread

    def send_data(self, head: bytes, payload: Bytes = b"") -> bool:
        return self.send(head + payload)

    def send_run(self, run: Sequence[tuple[bytes, Bytes]]) -> bool:
        return [self.send_data(head, payload) for head, payload in run][-1]

    @property
    def largest_message(self) -> int:
        return MAX_FRAME

    def put_off(self, call: Callable[[], object]) -> bool:
        if self.leisure is None:
            return False
        self.leisure.append(call)
        return True

    def follow_path(self, *, own: bool) -> None:
        """The path is as long as `trip` says."""

    def set_pace(self, *, brisk: bool) -> None:
        self.brisk = brisk

    def withhold(self, cost: int) -> int:
        """There is no more room than the window."""
        return 0

    def release(self, cost: int) -> None:
        self.acknowledge(cost)

    def cut_through(self, sink: PacketSink) -> None:
        """Messages come whole."""

    def take(self) -> list[Readable]:
        """What was sent since the last look."""
        sent, self.sent = self.sent, []
        return sent

    def deliver(self, payload: bytes, cost: int | None = None) -> None:
        """Give one message to the listener; its prefix is owed for as well."""
        cost = len(payload) + 5 if cost is None else cost
        self.owed += cost
        assert self.listener is not None
        self.listener.message(payload, cost)

    def acknowledge(self, cost: int) -> None:
        if cost <= 0:
            raise AssertionError("an acknowledgement of nothing")
        self.acknowledged += cost

    def send_headers(self, metadata: Metadata) -> None:
        if self.metadata is not None or self.sent:
            raise AssertionError("headers come first, and once")
        self.metadata = metadata

    def end(self, status: Status = OK, text: str = "") -> None:
        if not self.over:
            self.ending = (status, text)

    def half_close(self) -> None:
        raise AssertionError("nothing here half-closes a stream")

    def goaway(self) -> None:
        self.sent.append(("GOAWAY",))

    def reset(self) -> None:
        self.was_reset = True

    @property
    def peer(self) -> str:
        return "192.0.2.7:4321"

    @property
    def user(self) -> str:
        return "somebody"

    @property
    def transport(self) -> Any:
        return None


class FakeEnd(End):
    """One end of a tunnel. `calls` holds what it was told; `close` and `fail` can be answered."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Readable] = []

    def take(self) -> list[Readable]:
        """What it was told since the last look."""
        calls, self.calls = self.calls, []
        return calls

    def write(self, data: Bytes) -> None:
        self.calls.append(("write", bytes(data)))

    def finish(self) -> None:
        self.calls.append(("finish",))

    def pause(self) -> None:
        self.calls.append(("pause",))

    def resume(self) -> None:
        self.calls.append(("resume",))

    def opened(self) -> None:
        self.calls.append(("opened",))

    def failed(self, reason: Reason, text: str) -> None:
        self.calls.append(("failed", reason, text))

    def close(self, reason: Reason) -> None:
        if self.tunnel is not None or self.other is not None:
            raise AssertionError("a closed end still knows its tunnel")
        self.calls.append(("close", reason))


class FakeDial:
    """A dial on its way."""

    def __init__(self) -> None:
        self.cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1


class FakeSocket:
    """
    A transport whose kernel is the test.

    `log` holds, in order, `("write", data)`, `"FIN"`, `"close"` and `"abort"`. Writing more than
    `limit` bytes pauses the producer, as Twisted's transports do, until `drain`.
    """

    def __init__(
        self, *, tls: bool = False, hub: bool = False, unix: bool = False, limit: int = 65536
    ) -> None:
        self.peer = UNIXAddress(None) if unix else IPv4Address("TCP", "192.0.2.8", 5678)
        self.log: list[Any] = []
        self.limit = limit
        self.buffered = 0
        self.reading = True
        self.producer: Any = None
        self.protocol: Any = None
        self.gone = False
        self.unwritten = 0
        """What is held for the kernel, as far as others are told."""
        self.ended = False
        """Whether our side has ended it."""
        self._producer_paused = False
        self._streaming = True
        if tls:
            alsoProvides(self, ISSLTransport)
            if hub:
                self.closes_one_direction = True
            else:
                self.transport = SimpleNamespace(disconnecting=False)

    def connect(self, protocol: IProtocol) -> None:
        """Be the transport of `protocol`."""
        self.protocol = protocol
        protocol.makeConnection(self)  # type: ignore[arg-type]

    # -- what the peer does

    def deliver(self, data: bytes) -> None:
        """The peer's bytes have come; only a transport that reads gets them."""
        assert self.reading and not self.gone, "nobody reads"
        self.protocol.dataReceived(data)

    def deliver_fin(self) -> None:
        """The peer has closed its side."""
        assert self.reading and not self.gone, "nobody reads"
        self.protocol.readConnectionLost()

    def lose(self, error: Exception | None = None) -> None:
        """The connection is gone."""
        assert not self.gone
        self.gone = True
        self.protocol.connectionLost(Failure(error or ConnectionDone()))

    def drain(self) -> None:
        """The peer has read everything."""
        self.buffered = 0
        if self.producer is not None and (self._producer_paused or not self._streaming):
            self._producer_paused = False
            self.producer.resumeProducing()

    def take(self) -> list[Any]:
        """The log since the last look."""
        log, self.log = self.log, []
        return log

    @property
    def written(self) -> bytes:
        """All bytes in the log."""
        return b"".join(entry[1] for entry in self.log if entry[0] == "write")

    # -- the transport

    def write(self, data: bytes) -> None:
        if not data or self.ended:
            raise AssertionError(f"a write of {data!r} behind {self.log}")
        self.log.append(("write", bytes(data)))
        self.buffered += len(data)
        if self.buffered > self.limit and self.producer is not None and not self._producer_paused:
            self._producer_paused = True
            self.producer.pauseProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        self.producer = producer
        self._streaming = streaming
        if not streaming:
            # As Twisted does, whatever its buffer holds.
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None
        self._producer_paused = False

    def startWriting(self) -> None:
        """Twisted's next turn writes: with an empty buffer that is when it asks for more."""

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def loseWriteConnection(self) -> None:
        if not self.ended:
            self.ended = True
            self.log.append("FIN")

    def loseConnection(self) -> None:
        if "close" not in self.log:
            self.ended = True
            self.log.append("close")

    def abortConnection(self) -> None:
        self.ended = True
        self.log.append("abort")
        if not self.gone:
            self.lose()

    def setTcpNoDelay(self, enabled: bool) -> None:
        assert enabled

    def getHandle(self) -> None:
        """There is no TLS connection behind this."""

    def getPeer(self) -> IPv4Address | UNIXAddress:
        return self.peer

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 8090)


class FakeLog:
    """In the place of a module's `log`: keeps the lines of `info` and above."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _keep(self, format: str, /, *_: object, **fields: Any) -> None:
        self.lines.append(format.format(**fields))

    info = warn = error = failure = _keep

    def debug(self, format: str, /, **fields: Any) -> None:
        """Not kept."""
