"""Dialing through a gRPC frontend: DIAL_REQ on a new stream, DIAL_RSP, then a `TunnelTransport`.

The answer is acted on in the call that reads it, so that bytes which the destination sends first
are never lost, however close they follow. A dial that is given up says so (DIAL_CLS) before it
resets its stream. Whose connection it is: `konnect.client.connections`, `konnect.client.shared`.
"""

from __future__ import annotations

import secrets

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime

from konnect import __version__
from konnect.client.connections import ClientConnection, Connections
from konnect.client.destination import Destination
from konnect.client.dialing import DIAL_TIMEOUT, build, dial_within
from konnect.client.errors import (
    DialCancelled,
    DialClosed,
    DialFailed,
    EndpointFailed,
    StreamSetupFailed,
    TunnelClosed,
)
from konnect.client.ledger import DIALING, OPEN, TunnelState, ledger
from konnect.client.tunnel_transport import TunnelTransport
from konnect.net.grpc_stream import Metadata
from konnect.wire import packets
from konnect.wire.grpc import StreamRefused
from konnect.wire.packets import MalformedPacket, PacketType
from konnect.wire.status import Status

AUTHORITY = "localhost"
"""The `:authority` of all streams; frontends do not look at it."""


class GrpcDialer:
    """
    Dials destinations through one gRPC frontend.

    :param timeout: seconds for a whole dial, reaching the proxy included.
    """

    def __init__(
        self,
        connections: Connections,
        clock: IReactorTime,
        *,
        timeout: float = DIAL_TIMEOUT,
        user_agent: str = f"konnect/{__version__}",
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._timeout = timeout
        self._metadata = (("user-agent", user_agent),)

    def dial(self, destination: Destination, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        A protocol of `factory`, connected to `destination`.

        May be cancelled at any moment. Fails with `konnect.client.errors.DialFailed`.
        """
        return dial_within(self._timeout, self._clock, self._dial(destination, factory), factory)

    def close(self) -> Deferred[None]:
        """End all dials and tunnels; fires when no connection is left."""
        return self._connections.close()

    async def _dial(self, destination: Destination, factory: IProtocolFactory) -> IProtocol:
        state = TunnelState()
        try:
            return await self._open(destination, factory, state)
        except BaseException:
            state.over()
            raise

    async def _open(
        self, destination: Destination, factory: IProtocolFactory, state: TunnelState
    ) -> IProtocol:
        connection = await self._connections.acquire()
        try:
            dial = GrpcDial(connection, destination, self._metadata)
        except BaseException:
            self._connections.release(connection)
            raise
        state.become(DIALING)
        try:
            connect_id = await dial.answer
            protocol = build(factory, destination.address)
        except BaseException as problem:
            dial.stream.reset()
            self._connections.release(connection)
            if isinstance(problem, CancelledError):
                raise DialCancelled(asked=True) from None
            raise

        def over() -> None:
            state.over()
            self._connections.release(connection)
            factory.doStop()

        assert connection.transport is not None
        transport = TunnelTransport(
            dial.stream,
            connect_id,
            self._clock,
            peer=destination.address,
            host=connection.transport.getHost(),
            lost=over,
        )
        state.become(OPEN)
        transport.start(protocol)
        return protocol


class GrpcDial:
    """
    One dial on a stream of its own; `answer` fires with the connectID or fails with DialFailed.

    Raises StreamSetupFailed when the connection takes no stream.
    """

    def __init__(
        self,
        connection: ClientConnection,
        destination: Destination,
        metadata: Metadata,
    ) -> None:
        self.answer: Deferred[int] = Deferred(self._cancelled)
        self._connection = connection
        self._random = 1 + secrets.randbelow(2**63 - 1)
        request = packets.dial_req("tcp", destination.text, self._random)
        try:
            self.stream = connection.open(packets.PROXY_PATH, metadata, self, authority=AUTHORITY)
        except StreamRefused as problem:
            raise StreamSetupFailed(f"the proxy takes no stream: {problem}") from problem
        ledger.sent("DIAL_REQ")
        self.stream.send(request)

    def _cancelled(self, answer: Deferred[int]) -> None:
        ledger.sent("DIAL_CLS")
        self.stream.send(packets.dial_cls(self._random))
        self.stream.reset()

    # -- StreamListener

    def headers(self, metadata: Metadata) -> None:
        """Nothing in them concerns a dial."""

    def message(self, payload: bytes, cost: int) -> None:
        """A packet. Only the answer to this very dial means something yet."""
        self.stream.acknowledge(cost)
        try:
            packet = packets.parse(payload)
        except MalformedPacket as problem:
            self._fail(DialFailed(f"the proxy sent a malformed packet: {problem}"))
            return
        kind: int = packet.type
        ledger.received(packets.type_name(kind))
        response = packet.dialResponse
        if kind == PacketType.DIAL_CLS and packet.closeDial.random == self._random:
            self._fail(DialClosed())
        elif kind != PacketType.DIAL_RSP or response.random != self._random:
            return
        elif response.error:
            self._fail(EndpointFailed(response.error))
        elif not response.connectID:
            self._fail(DialFailed("the proxy answered the dial without a connectID"))
        else:
            self.answer.callback(response.connectID)

    def half_closed(self) -> None:
        """Only servers are told."""

    def ended(self, status: Status, text: str, reset: bool) -> None:
        """The stream is over without an answer."""
        ledger.stream_ended(status)
        why = self._connection.lost_text or f"{status.name}: {text}".removesuffix(": ")
        self._fail(TunnelClosed(why))

    def writable(self) -> None:
        """A dial has nothing that waits."""

    def _fail(self, problem: DialFailed) -> None:
        self.stream.reset()
        if not self.answer.called:
            self.answer.errback(problem)
