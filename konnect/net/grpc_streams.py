"""The streams of one gRPC connection: how they are told what comes, and how they send.

`StreamTable` is the half of `konnect.net.grpc.GrpcProtocol` that knows streams; the other half
knows the transport. A message of a stream that has nothing queued goes past every queue: it is
written to the transport at once, and a large payload is not copied on its way there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.protocol import Protocol

from konnect.log import make_logger
from konnect.net.grpc_stream import GrpcStream
from konnect.net.grpc_terms import Terms
from konnect.net.policing import TOO_MANY_PINGS
from konnect.net.unwritten import unwritten
from konnect.tunnel.waiting import MESSAGES, STREAMS, TRANSPORTS
from konnect.wire.events import (
    ConnectionEnded,
    Event,
    GoingAway,
    HalfClosed,
    HeadersReceived,
    MessageReceived,
    Pinged,
    Ponged,
    StreamEnded,
    StreamOpened,
    Writable,
)
from konnect.wire.grpc import GrpcConnection
from konnect.wire.inlet import PacketInlet, PacketSink
from konnect.wire.status import Status

log = make_logger(__name__)

_JOIN_BELOW = 4096
"""Bytes below which a copy costs less than a second piece."""

UNKNOWN = "an unknown peer"
"""What a peer is called that the transport has no name for."""


class StreamTable(Protocol):
    """See the module."""

    peer = UNKNOWN
    transport: Any
    going_away = False
    pinged_too_often = False
    """The peer goes away because our keepalive is too eager."""
    _takes_views = False

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        wire = self._wire = GrpcConnection(
            terms.role, terms.limits, memo=terms.memo, deliver=self._act
        )
        self._direct = wire.direct
        self._streams: dict[int, GrpcStream] = {}
        self._closing: str | None = None
        # Attributes of each object, since Python 3.11 is slow to find what only the class has:
        # sending 64 bytes on a link takes 0.975 of the instructions (`bench/micro.py`).
        self._receiving = self._blocked = False
        # Streams with nothing queued that were told to stop since the transport takes no more.
        self._waiting: dict[GrpcStream, None] = {}

    @property
    def live_streams(self) -> int:
        """How many streams have not ended."""
        return len(self._streams)

    def _new_stream(self, stream_id: int) -> GrpcStream:
        raise NotImplementedError

    def _flush(self) -> None:
        """Hand over what may be sent; then tell the streams of their room."""
        raise NotImplementedError

    def count_waiting(self, waiting: dict[str, int]) -> None:
        """See `konnect.tunnel.waiting.Holder`."""
        queued, held = self._wire.waiting()
        waiting[STREAMS] += queued
        waiting[MESSAGES] += held
        waiting[TRANSPORTS] += unwritten(self.transport)

    # -- sending

    def _send(self, stream: GrpcStream, head: bytes, payload: bytes | memoryview) -> bool:
        blocked = self._blocked
        if not blocked and self._closing is None:
            size = len(payload)
            before = self._direct(stream.id, head, size)
            if before is None:
                before = self._wire.first(stream.id, head, size)
            if before is not None:
                transport = self.transport
                if size < _JOIN_BELOW or not self._takes_views:
                    transport.write(before + payload)
                else:
                    transport.writeSequence((before, payload))
                if self._blocked:  # by what has been written
                    self._waiting[stream] = None
                    return False
                return True
        wire = self._wire
        wire.send_message(stream.id, head + payload)
        if not self._receiving:
            self._flush()
        return wire.writable(stream.id) and self._closing is None

    def _send_run(
        self, stream: GrpcStream, run: Sequence[tuple[bytes, bytes | memoryview]]
    ) -> bool:
        if len(run) == 1:
            return self._send(stream, *run[0])
        pieces: list[bytes | memoryview] = []
        if not self._blocked and self._closing is None and self._takes_views:
            for head, payload in run:
                before = self._direct(stream.id, head, len(payload))
                if before is None:
                    break
                pieces += (before, payload)
        if pieces:
            self.transport.writeSequence(pieces)
            if self._blocked:
                self._waiting[stream] = None
        room = not self._blocked
        for head, payload in run[len(pieces) // 2 :]:
            room = self._send(stream, head, payload)
        return room

    def _cut_through(self, stream: GrpcStream, sink: PacketSink) -> None:
        limits = self._wire.limits
        inlet = PacketInlet(sink, limits.max_message, limits.collecting)
        self._wire.cut_through(stream.id, inlet)

    def _act(self, events: list[Event]) -> None:
        for event in events:
            _EVENTS[type(event)](self, event)
        events.clear()

    def _forget(self, stream: GrpcStream) -> bool:
        if self._streams.pop(stream.id, None) is None:
            return False
        if not self._streams:
            self._idle()
        return True

    def _idle(self) -> None:
        """The last stream is over."""

    def _busy(self) -> None:
        """There is a stream again."""

    def _end(self, stream: GrpcStream, status: Status, text: str) -> None:
        if not self._forget(stream):
            return
        stream.listener = None
        self._wire.end_stream(stream.id, status, text)
        self._flush()

    def _reset(self, stream: GrpcStream) -> None:
        if not self._forget(stream):
            return
        stream.listener = None
        self._wire.reset_stream(stream.id)
        self._flush()

    def _tell_waiting(self) -> None:
        """The transport takes more."""
        waiting, self._waiting = self._waiting, {}
        for stream in waiting:
            if self._blocked:
                self._waiting[stream] = None
            elif stream.listener is not None and self._wire.writable(stream.id):
                stream.listener.writable()

    # -- events

    def _stream_opened(self, event: StreamOpened) -> None:
        if not self._streams:
            self._busy()
        stream = self._new_stream(event.stream_id)
        accept = self._terms.accept
        assert accept is not None
        stream.listener = accept(stream, event.path, event.metadata)

    def _headers_received(self, event: HeadersReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None and stream.listener is not None:
            stream.listener.headers(event.metadata)

    def _message_received(self, event: MessageReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None and stream.listener is not None:
            stream.listener.message(event.payload, event.cost)
        else:
            self._wire.acknowledge(event.stream_id, event.cost)

    def _half_closed(self, event: HalfClosed) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None and stream.listener is not None:
            stream.listener.half_closed()

    def _stream_ended(self, event: StreamEnded) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            self._tell_ended(stream, event.status, event.message, event.reset)

    def _tell_ended(self, stream: GrpcStream, status: Status, text: str, reset: bool) -> None:
        self._forget(stream)
        listener, stream.listener = stream.listener, None
        if listener is not None:
            listener.ended(status, text, reset)

    def _writable(self, event: Writable) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None and stream.listener is not None:
            stream.listener.writable()

    def pinged(self, sent: int) -> None:
        """The peer has sent a ping; servers want to know."""

    def _ponged(self, event: Ponged) -> None:
        raise NotImplementedError

    def _going_away(self, event: GoingAway) -> None:
        self.going_away = True
        self.pinged_too_often = event.debug == TOO_MANY_PINGS
        log.debug("{peer} sent GOAWAY ({debug})", peer=self.peer, debug=event.debug)

    def _connection_ended(self, event: ConnectionEnded) -> None:
        raise NotImplementedError


_EVENTS: dict[type[Event], Callable[[StreamTable, Any], None]] = {
    StreamOpened: StreamTable._stream_opened,
    HeadersReceived: StreamTable._headers_received,
    MessageReceived: StreamTable._message_received,
    HalfClosed: StreamTable._half_closed,
    StreamEnded: StreamTable._stream_ended,
    Writable: StreamTable._writable,
    Pinged: lambda table, event: table.pinged(event.sent),
    Ponged: lambda table, event: table._ponged(event),
    GoingAway: StreamTable._going_away,
    ConnectionEnded: lambda table, event: table._connection_ended(event),
}
