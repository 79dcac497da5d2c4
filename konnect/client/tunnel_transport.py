"""A tunnel through a gRPC frontend, as a Twisted transport.

Written bytes leave as DATA packets; received ones go to the protocol, and the stream's window is
given back when they do, so that a paused protocol holds back the destination and does not fill this
process's memory. `loseConnection` flushes, sends CLOSE_REQ and waits for the CLOSE_RSP;
`abortConnection` resets the stream.

The wire has no half-close towards a gRPC client, so there is no `loseWriteConnection`. How a tunnel
is dialed is in `konnect.client.grpc_dial`; who owns the connection below is told by `lost`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IProducer,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from konnect.client.input import Input
from konnect.client.ledger import ledger
from konnect.client.output import Output
from konnect.log import make_logger
from konnect.net.grpc_stream import GrpcStream, Metadata
from konnect.wire import packets
from konnect.wire.packets import MalformedPacket, PacketType
from konnect.wire.status import Status

log = make_logger(__name__)

CLOSE_TIMEOUT = 10.0
"""Seconds to wait for a CLOSE_RSP (upstream's client waits as long)."""


@implementer(ITransport, IConsumer, IPushProducer)
class TunnelTransport:
    """
    The transport of one open tunnel, and the listener of its stream.

    `lost` is called once, right after the protocol's `connectionLost`.
    """

    def __init__(
        self,
        stream: GrpcStream,
        connect_id: int,
        clock: IReactorTime,
        *,
        peer: IAddress,
        host: IAddress,
        lost: Callable[[], None],
    ) -> None:
        self.connected = False
        self.disconnecting = False
        self.disconnected = False
        self._stream = stream
        self._connect_id = connect_id
        self._clock = clock
        self._peer = peer
        self._host = host
        self._on_lost = lost
        self._protocol: IProtocol | None = None
        self._output = Output(self._send, clock, self._guard)
        self._input = Input(clock, self._deliver, stream.acknowledge, self._read_all)
        self._end: Failure | None = None
        """Why the stream is over."""
        self._close_sent = False
        self._queued_at_check = 0
        self._end_call: IDelayedCall | None = None

    def start(self, protocol: IProtocol) -> None:
        """Take the stream over from the dial and connect `protocol`."""
        self.connected = True
        self._protocol = protocol
        self._stream.listener = self
        self._guard(protocol.makeConnection, self)

    # -- ITransport

    def write(self, data: bytes) -> None:
        """See ITransport.write."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"Data must be bytes, not {type(data).__name__}")
        if data and self.connected and not self._close_sent:
            self._output.write(bytes(data))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """See ITransport.writeSequence."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Flush what was written, then close; nothing more is given to the protocol meanwhile."""
        if self.disconnecting or self._protocol is None:
            return
        self.disconnecting = True
        self._input.drop()
        if self._end is None:
            self._close_when_idle()
        elif self._end_call is None:
            self._end_call = self._clock.callLater(0, self._lose, self._end)

    def abortConnection(self) -> None:
        """Close at once; what was written and not yet sent is dropped."""
        if self._protocol is None:
            return
        self.connected = False
        self.disconnecting = True
        self._stream.reset()
        self._input.drop()
        self._cancel_end_call()
        self._end_call = self._clock.callLater(0, self._lose, Failure(ConnectionAborted()))

    def getPeer(self) -> IAddress:
        """The destination, as it was asked for: its address, or its name (HostnameAddress)."""
        return self._peer

    def getHost(self) -> IAddress:
        """Our end of the connection to the proxy."""
        return self._host

    # A TLS layer on top claims to be ITCPTransport and forwards these (Twisted's HTTP client calls
    # them). The tunnel has no socket of its own that they could concern.

    def getTcpNoDelay(self) -> bool:
        """Always true: no write waits for another."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Without effect."""

    def getTcpKeepAlive(self) -> bool:
        """Always false: tunnels are not probed one by one."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Without effect."""

    # -- IConsumer

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """See IConsumer.registerProducer."""
        if not self.connected or self._close_sent:
            producer.stopProducing()
        else:
            self._output.register(producer, streaming)

    def unregisterProducer(self) -> None:
        """See IConsumer.unregisterProducer."""
        self._output.unregister()
        self._close_when_idle()

    # -- IPushProducer: the protocol's hold on what is received

    def pauseProducing(self) -> None:
        """Give the protocol nothing until `resumeProducing`."""
        self._input.pause()

    def resumeProducing(self) -> None:
        """Undo `pauseProducing`; what was held comes in the next turn of the reactor."""
        self._input.resume()

    def stopProducing(self) -> None:
        """See IProducer.stopProducing: closes, as Twisted's transports do."""
        self.loseConnection()

    # -- StreamListener

    def headers(self, metadata: Metadata) -> None:
        """Nothing in them concerns a tunnel."""

    def message(self, payload: bytes, cost: int) -> None:
        """A packet from the proxy. Those that are not about this tunnel are ignored."""
        try:
            packet = packets.parse(payload)
        except MalformedPacket as problem:
            self._stream.acknowledge(cost)
            self._stream.reset()
            self._finish(Failure(ConnectionLost(f"the proxy sent a malformed packet: {problem}")))
            return
        kind: int = packet.type
        ledger.received(packets.type_name(kind))
        ours = self._connect_id
        if kind == PacketType.DATA and packet.data.connectID == ours and packet.data.data:
            self._input.received(packet.data.data, cost)
            return
        self._stream.acknowledge(cost)
        if kind == PacketType.CLOSE_RSP and packet.closeResponse.connectID == ours:
            self._stream.reset()
            error = packet.closeResponse.error
            self._finish(Failure(ConnectionLost(error) if error else ConnectionDone()))
        else:
            log.debug(
                "ignored a {packet} packet that is not about connectID {ours}",
                packet=packets.type_name(kind),
                ours=ours,
            )

    def half_closed(self) -> None:
        """Only servers are told."""

    def ended(self, status: Status, text: str, reset: bool) -> None:
        """The stream ended without a CLOSE_RSP: the proxy, or the connection to it, is gone."""
        ledger.stream_ended(status)
        if self._close_sent and status == Status.OK:
            self._finish(Failure(ConnectionDone()))
        else:
            self._finish(Failure(ConnectionLost(f"tunnel closed: {text or status.name}")))

    def writable(self) -> None:
        """The stream takes more."""
        self._output.room()
        self._close_when_idle()

    # -- inner

    def _send(self, chunk: bytes) -> bool:
        ledger.sent("DATA")
        return self._stream.send(packets.data(self._connect_id, chunk))

    def _deliver(self, data: bytes) -> None:
        assert self._protocol is not None
        self._guard(self._protocol.dataReceived, data)

    def _guard(self, call: Callable[..., object], *arguments: object) -> None:
        """What a protocol or producer raises must not end the connection that it shares."""
        try:
            call(*arguments)
        except Exception:
            failure = Failure()
            log.failure("a protocol or producer on a tunnel raised", failure=failure)
            self._stream.reset()
            self._lose(failure)

    def _close_when_idle(self) -> None:
        if not self.disconnecting or self._close_sent or not self.connected:
            return
        if not self._output.idle:
            return
        self._close_sent = True
        ledger.sent("CLOSE_REQ")
        self._stream.send(packets.close_req(self._connect_id))
        self._watch_close()

    def _watch_close(self) -> None:
        self._queued_at_check = self._stream.queued
        self._end_call = self._clock.callLater(CLOSE_TIMEOUT, self._close_unanswered)

    def _close_unanswered(self) -> None:
        self._end_call = None
        if self._stream.queued < self._queued_at_check:
            # The CLOSE_REQ has not left yet: a slow destination still takes what was written.
            self._watch_close()
            return
        self._stream.reset()
        self._lose(Failure(ConnectionLost("close timeout")))

    def _finish(self, reason: Failure) -> None:
        """The stream is over. The protocol learns it when it has read everything before."""
        if self._end is not None:
            return
        self._end = reason
        self.connected = False
        self._cancel_end_call()
        self._input.end()

    def _read_all(self) -> None:
        assert self._end is not None
        self._lose(self._end)

    def _lose(self, reason: Failure) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is None:
            return
        self.connected = False
        self.disconnected = True
        self._input.drop()
        self._cancel_end_call()
        self._output.stop()
        try:
            protocol.connectionLost(reason)
        except Exception:
            log.failure("a protocol on a tunnel raised in connectionLost")
        self._on_lost()

    def _cancel_end_call(self) -> None:
        if self._end_call is not None and self._end_call.active():
            self._end_call.cancel()
        self._end_call = None
