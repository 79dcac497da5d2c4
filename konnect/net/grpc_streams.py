"""The streams of one gRPC connection: how they are told what comes, and how they end.

`StreamTable` is the half of `konnect.net.grpc.GrpcProtocol` that knows streams; the other half
knows the transport. How a stream sends is said by `konnect.net.grpc_stream`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol

from konnect.log import make_logger
from konnect.net.grpc_stream import GrpcStream
from konnect.net.grpc_terms import Terms
from konnect.net.policing import TOO_MANY_PINGS
from konnect.net.unread import UnreadEnds
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
from konnect.wire.status import Status

log = make_logger(__name__)

UNKNOWN = "an unknown peer"
"""What a peer is called that the transport has no name for."""


class StreamTable(Protocol):
    """See the module."""

    peer = UNKNOWN
    transport: Any
    going_away = False
    pinged_too_often = False
    """The peer goes away because our keepalive is too eager."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._wire = GrpcConnection(terms.role, terms.limits, terms.memo, self._act)
        self._streams: dict[int, GrpcStream] = {}
        self._closing: str | None = None
        # Attributes of each object, the other half's too: Python 3.11 is slow to find what only the
        # class has, which takes 270 instructions each time, and to set one 20.
        self._receiving = self._blocked = self._started = self._takes_views = False
        self._abort_call: IDelayedCall | None = None
        self._unread: UnreadEnds | None = None
        self._ready: Deferred[None] | None = None
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

    def _send_run(
        self, stream: GrpcStream, run: Sequence[tuple[bytes, bytes | memoryview]]
    ) -> bool:
        if len(run) == 1:
            return stream.send_data(*run[0])
        pieces: list[bytes | memoryview] = []
        if not self._blocked and self._closing is None and self._takes_views:
            live, direct = stream._stream, self._wire.streams.direct
            for head, payload in run:
                before = direct(live, head, len(payload)) if live.straight else None
                if before is None:
                    break
                pieces += (before, payload)
        if pieces:
            self.transport.writeSequence(pieces)
            if self._blocked:
                self._waiting[stream] = None
        room = not self._blocked
        for head, payload in run[len(pieces) // 2 :]:
            room = stream.send_data(head, payload)
        return room

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

    def _end_all(self, text: str) -> None:
        """The connection is lost."""
        streams, status = self._streams, self._terms.lost
        for stream in [*streams.values()]:
            if streams.pop(stream.id, None) is not None:  # not ended by whoever was told before
                listener, stream.listener = stream.listener, None
                if listener is not None:
                    listener.ended(status, text, True)

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
