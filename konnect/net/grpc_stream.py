"""One gRPC stream, as the layers above `konnect.net.grpc` see it.

A listener is told what comes; a `GrpcStream` is what it speaks through. Neither knows packets. A
message of a stream that has nothing queued goes past every queue: it is written to the transport at
once, and a large payload is not copied on its way there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from twisted.internet.interfaces import ITransport

from konnect.net.path import PathGauge
from konnect.wire.inlet import PacketInlet, PacketSink
from konnect.wire.status import OK, Status

if TYPE_CHECKING:
    from konnect.net.grpc import GrpcProtocol

Metadata = Sequence[tuple[str, str]]

_JOIN_BELOW = 4096
"""Bytes below which a copy costs less than a second piece."""


class StreamListener(Protocol):
    """What the owner of a stream is told. Calls come from the reactor thread, in wire order."""

    def headers(self, metadata: Metadata) -> None:
        """Client role: the response headers have come."""

    def message(self, payload: bytes, cost: int) -> None:
        """One whole message; `cost` bytes are owed to `GrpcStream.acknowledge`."""

    def half_closed(self) -> None:
        """Server role: the client will send no more messages."""

    def ended(self, status: Status, text: str, reset: bool) -> None:
        """The stream is over by the peer, a limit or a lost connection; told exactly once."""

    def writable(self) -> None:
        """`GrpcStream.send` had answered False; there is room again."""


class GrpcStream:
    """One live stream: what a listener speaks through. All calls are harmless after its end."""

    __slots__ = ("_protocol", "_stream", "id", "listener")

    def __init__(self, protocol: GrpcProtocol, stream_id: int) -> None:
        self._protocol = protocol
        self._stream = protocol._wire.stream(stream_id)
        self.id = stream_id
        self.listener: StreamListener | None = None

    def send_data(self, head: bytes, payload: bytes | memoryview = b"") -> bool:
        """
        Queue one message, in two parts; where nothing is in its way, past every queue and uncopied.

        False: send nothing more of bulk until `writable()` is told.
        """
        protocol = self._protocol
        wire, blocked = protocol._wire, protocol._blocked
        if not blocked and protocol._closing is None:
            size = len(payload)
            stream = self._stream
            if stream.straight:
                before = wire.streams.direct(stream, head, size)
            else:
                before = wire.first(stream, head, size)
            if before is not None:
                transport = protocol.transport
                if size < _JOIN_BELOW or not protocol._takes_views:
                    transport.write(before + payload)
                else:
                    transport.writeSequence((before, payload))
                if protocol._blocked:  # by what has been written
                    protocol._waiting[self] = None
                    return False
                return True
        wire.send_message(self.id, head, payload)
        if not protocol._receiving:
            protocol._flush()
        return wire.writable(self.id) and protocol._closing is None

    # Of a message in one part. One method, since one more call for each packet would cost 3 % of
    # what a link takes to send 64 bytes.
    send = cast("Callable[[GrpcStream, bytes], bool]", send_data)

    def send_run(self, run: Sequence[tuple[bytes, bytes | memoryview]]) -> bool:
        """`send_data` for each head and payload, in one write as far as nothing is in their way."""
        return self._protocol._send_run(self, run)

    @property
    def closing(self) -> bool:
        """Whether the connection is being closed here: what is sent now goes nowhere."""
        return self._protocol._closing is not None

    @property
    def largest_message(self) -> int:
        """Bytes of the largest message that `send_data` can send so."""
        return self._protocol._wire.largest_message

    def cut_through(self, sink: PacketSink) -> None:
        """
        Give the stream's messages to `sink` instead of the listener, DATA as it comes.

        For streams of packets; to be called in `accept` or right after `open`.
        """
        limits = self._protocol._wire.limits
        self._stream.take_inlet(PacketInlet(sink, limits.max_message, limits.collecting))

    def follow_path(self, *, own: bool) -> None:
        """Have no more on the way than the path needs: with a peer of our `own` by what is sent
        here, with others by the window that they have (`konnect.net.link_window`)."""
        self._protocol._follow_path(self, own)

    @property
    def round_trip(self) -> float:
        """Seconds of the shortest to a peer of our own; 0 while it is not known, and to others."""
        path = self._protocol._path
        return path.round_trip if isinstance(path, PathGauge) else 0.0

    def measure_trip(self) -> None:
        """Measure one more round trip, if none is being measured. Not more often than bytes come:
        servers end connections with pings alone."""
        path = self._protocol._path
        if isinstance(path, PathGauge) and not path.measuring:
            self._protocol.ask()

    def set_pace(self, *, brisk: bool) -> None:
        """Have less on the way while the pace is brisk, to a peer of our own."""
        path = self._protocol._path
        # With less room there is nothing to be sent.
        if path is not None and path.set_pace(brisk=brisk) and not brisk:
            self._protocol._flush()

    def withhold(self, cost: int) -> int:
        """`cost` received bytes have to wait here. How many of them are given back all the same;
        all of them are owed to `release`."""
        path = self._protocol._path
        return 0 if path is None else path.withhold(cost)

    def release(self, cost: int) -> None:
        """`cost` bytes wait no longer that were withheld."""
        path = self._protocol._path
        back = cost if path is None else path.release(cost)
        if back:
            self.acknowledge(back)

    def put_off(self, call: Callable[[], object]) -> bool:
        """Call when nothing else is to be done in this program, very soon at the latest. False: the
        transport cannot, or there is no need; do it now."""
        put_off = getattr(self._protocol.transport, "put_off", None)
        return put_off is not None and put_off(call)

    def send_headers(self, metadata: Metadata) -> None:
        """Server role: send the response headers now."""
        self._protocol._wire.send_headers(self.id, metadata)
        self._protocol._flush()

    def acknowledge(self, cost: int) -> None:
        """Give `cost` bytes of receive window back to the peer."""
        self._protocol._wire.acknowledge(self.id, cost)
        self._protocol._flush()

    def end(self, status: Status = OK, text: str = "") -> None:
        """Server: trailers behind what is queued. Client: half-close. The stream is let go."""
        self._protocol._end(self, status, text)

    def half_close(self) -> None:
        """Client role: no more messages will be sent; the stream lives on for the answers."""
        self._protocol._wire.end_stream(self.id)
        self._protocol._flush()

    def goaway(self) -> None:
        """Tell the peer to open no further streams on this connection; this one goes on."""
        self._protocol.goaway()

    def reset(self) -> None:
        """Cancel the stream; what is queued is dropped."""
        self._protocol._reset(self)

    @property
    def queued(self) -> int:
        """Bytes queued and not yet handed to the transport."""
        return self._protocol._wire.queued(self.id)

    @property
    def outstanding(self) -> int:
        """Bytes queued, or sent and not yet given back by the peer as window."""
        return self._protocol._wire.outstanding(self.id)

    def count_waiting(self, waiting: dict[str, int]) -> None:
        """For the whole connection, see `konnect.tunnel.waiting.Holder`."""
        self._protocol.count_waiting(waiting)

    @property
    def peer(self) -> str:
        """The peer of the connection as `host:port`, or the word for a unix socket."""
        return self._protocol.peer

    @property
    def user(self) -> str:
        """Whom the peer has proved to be, see `konnect.net.users`."""
        return self._protocol.user

    @property
    def transport(self) -> ITransport:
        """The transport that carries the stream (for the peer's certificate)."""
        return cast(ITransport, self._protocol.transport)
