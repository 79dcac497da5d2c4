"""What the owner of a connection may ask of one of its streams, by the stream's id.

`StreamCalls` is the half of `konnect.wire.grpc.GrpcConnection` that is about streams; calls for
streams that are gone do nothing.
"""

from __future__ import annotations

from konnect.wire import headers
from konnect.wire.events import Metadata
from konnect.wire.framing import PREFIX_SIZE
from konnect.wire.http2 import Role
from konnect.wire.remembered import RememberedHttp2
from konnect.wire.status import OK, ErrorCode, Status
from konnect.wire.stream import Stream, ended
from konnect.wire.stream_window import StreamWindow
from konnect.wire.streams import Streams


class StreamCalls:
    """See the module."""

    role: Role
    streams: Streams
    _http2: RememberedHttp2
    _live: dict[int, Stream]

    def stream(self, stream_id: int) -> Stream:
        """
        The stream itself, to be asked without looking it up each time; one that is over, if it is
        not there any more.

        Past `output` goes what `streams.direct` answers while it is `straight`, else `first`; where
        these have no answer, `send_message`.
        """
        return self._live.get(stream_id) or ended(stream_id)

    def send_headers(self, stream_id: int, metadata: Metadata = ()) -> None:
        """Server: send the response headers now; without this they go out with the first message.

        Raises ValueError for metadata that no header can hold, RuntimeError if they have been sent.
        """
        stream = self._live.get(stream_id)
        if stream is None or stream.ending is not None:
            return
        if stream.headers_sent:
            raise RuntimeError("the response headers of this stream have been sent")
        self._http2.send_headers(stream_id, headers.response(metadata))
        stream.headers_sent = True

    def send_message(self, stream_id: int, head: bytes, payload: bytes | memoryview = b"") -> None:
        """Queue one message, in two parts, whatever `writable` says."""
        stream = self._live.get(stream_id)
        if stream is None or stream.ending is not None:
            return
        if not stream.headers_sent:
            stream.headers_sent = True
            if not self.role.client:
                self._http2.respond(stream_id)
        stream.send_later(self.streams.limits, head, payload)
        if not stream.in_turn:
            self.streams.enter_rota(stream)

    def window_of(self, stream_id: int) -> StreamWindow:
        """To change a stream's windows while it lives."""
        return StreamWindow(self.streams, stream_id)

    def first(self, stream: Stream, head: bytes, size: int) -> bytes | None:
        """
        `Streams.direct` for a server's first message, before which the response headers go, and
        what waits for `output`; None for any other.
        """
        streams = self.streams
        if stream.headers_sent or stream.deaf or streams.client:
            return None
        self._http2.respond(stream.id)
        stream.headers_sent = True
        before = streams.direct(stream, head, size)
        if before is None:
            return None
        stream.straight = True
        out = streams.outgoing
        out.append(before)
        before = b"".join(out)
        out.clear()
        return before

    @property
    def largest_message(self) -> int:
        """Bytes of the largest message that goes out in one frame."""
        return self._http2.state.max_outbound_frame_size - PREFIX_SIZE

    def end_stream(self, stream_id: int, status: Status = OK, message: str = "") -> None:
        """End our side of a stream behind everything queued.

        Server: with trailers. If the client has not half-closed by then, RST_STREAM(NO_ERROR)
        follows. No more is told of the stream, unless the client resets it before the trailers are
        out. Client: a half-close; ValueError for a status or a message.
        """
        stream = self._live.get(stream_id)
        if stream is None or stream.ending is not None:
            return
        if not self.role.client:
            self.streams.end(stream, headers.trailers(status, message))
        elif status is OK and not message:
            self.streams.end(stream, [])
        else:
            raise ValueError("a client has no status to send")

    def reset_stream(self, stream_id: int, code: int = ErrorCode.CANCEL) -> None:
        """End a stream at once in both directions; what is queued is dropped.

        There is no event for it.
        """
        stream = self._live.get(stream_id)
        if stream is not None:
            self.streams.reset(stream, code)

    def writable(self, stream_id: int) -> bool:
        """Whether the stream is live and wants more: False from `send_high` until `send_low`."""
        stream = self._live.get(stream_id)
        return stream is not None and stream.ending is None and not stream.queue.full

    def queued(self, stream_id: int) -> int:
        """Bytes queued on the stream, not yet in `output`."""
        stream = self._live.get(stream_id)
        return stream.queue.size if stream is not None else 0

    def outstanding(self, stream_id: int) -> int:
        """Bytes queued on the stream, or sent and not given back by the peer as window."""
        stream = self._live.get(stream_id)
        if stream is None:
            return 0
        return stream.queue.size + self._http2.state.peer_stream_window - stream.out

    def acknowledge(self, stream_id: int, cost: int) -> None:
        """Give the peer back `cost` bytes of the stream's window (a quarter of it at a time)."""
        stream = self._live.get(stream_id)
        if stream is not None:
            self.streams.give_back(stream, cost)
