"""gRPC over one HTTP/2 connection, both roles, without IO.

`GrpcConnection` turns received bytes into events, and calls into bytes. Its owner repeats, until
there is nothing left:

    events = connection.receive(data)  ->  act on them  ->  write(connection.output())
    events = connection.pending()      ->  act on them  ->  write(connection.output())

and does not call `output` while the transport takes no more: what is not asked for stays in the
queues of the streams, where it makes them not `writable`.

Flow control on receipt: the window of the connection is given back at once, so that a stream whose
owner is slow holds up no other; the window of a stream is given back when its owner says
`acknowledge`. Not known here: paths, packets, time, sockets. HTTP/2 is h2's, of which no type shows
outside.

The parts: `frames` cuts the bytes, `arrivals` takes what is cut, `reactions` is what h2's events
do, `http2` sets h2 up, `streams` holds the state of streams and sends, `stream_calls` is what one
can do; `headers`, `framing`, `inlet` and `sendqueue` serve these.

Source: gRPC over HTTP/2, RFC 9113.
"""

from __future__ import annotations

from collections.abc import Callable

from h2.exceptions import NoAvailableStreamIDError, ProtocolError, TooManyStreamsError

from konnect.wire import frames, headers
from konnect.wire.arrivals import Arrivals
from konnect.wire.events import ConnectionEnded, Event, Metadata, StreamRefused
from konnect.wire.http2 import Limits, Role
from konnect.wire.memo import OpeningMemo
from konnect.wire.packet_frames import HEADS_SIZE
from konnect.wire.remembered import RememberedHttp2
from konnect.wire.splitter import FrameSplitter
from konnect.wire.status import ErrorCode
from konnect.wire.stream_calls import StreamCalls
from konnect.wire.streams import NEVER, Streams

__all__ = ["GrpcConnection", "Limits", "OpeningMemo", "Role", "StreamRefused"]

_MAX_DEBUG = 256


class GrpcConnection(StreamCalls):
    """One connection.

    Calls for streams that are gone, and after the connection's end, do nothing.
    """

    def __init__(
        self,
        role: Role,
        limits: Limits | None = None,
        memo: OpeningMemo | None = None,
        deliver: Callable[[list[Event]], None] | None = None,
    ) -> None:
        """
        :param limits: sizes; the defaults of `Limits` if None.
        :param memo: server: what its like said before, with the same limits.
        :param deliver: may act on events during `receive`, before what has come behind them; it
            empties the list.
        """
        limits = memo.limits if memo is not None else limits or Limits()
        self.limits = limits
        self.closed = False
        """True after a connection error or `connection_lost`; nothing more is processed."""
        # Made for the first read that needs it: those of a client with one tunnel do not.
        self._splitter: FrameSplitter | None = None
        self.role = role
        http2 = self._http2 = RememberedHttp2(limits, memo, role)
        streams = self.streams = Streams(http2, limits, role)
        self._live = streams.table
        arrivals = self._arrivals = Arrivals(streams, deliver)
        self.overhead = arrivals.overhead
        """Of what floods are made."""

    @property
    def live_streams(self) -> int:
        """Streams that have not ended, those with output queued behind `end_stream` included."""
        return len(self._live)

    def start(self) -> None:
        """Queue the preface, SETTINGS and the connection's receive window.

        To be called once, first.
        """
        self._http2.begin(self.limits)

    def receive(self, data: bytes) -> list[Event]:
        """Take received bytes, in any pieces. Never raises for what a peer sends.

        What breaks the protocol becomes StreamEnded for every live stream and a last
        `ConnectionEnded`.
        """
        streams = self.streams
        events = self.pending() if streams.pending else []
        if self.closed:
            return events
        arrivals = self._arrivals
        arrivals.events = events
        try:
            usual, splitter = streams.usual, self._splitter
            taken = 0
            size = len(data)
            # What is shorter is no packet: the answer to our SETTINGS comes alone.
            if size >= HEADS_SIZE and usual is not None and (splitter is None or splitter.between):
                taken = arrivals.packets(data, 0, usual)  # most reads are nothing else
            if taken < size:
                self._receive_other(data, taken)
            if arrivals.gathering is not None:
                arrivals.let_go()
        except frames.ProtocolViolation as error:
            self._fail(error.code, str(error), events)
        except ProtocolError as error:
            self._fail(int(error.error_code), str(error) or type(error).__name__, events)
        return events

    def _receive_other(self, data: bytes, position: int) -> None:
        """What is not the usual packets, from `position` on."""
        splitter, arrivals = self._splitter, self._arrivals
        if not position and (splitter is None or splitter.between):
            streams = self.streams
            run = self._http2.take_run(data, streams.out)
            if run is not None:
                if splitter is not None:
                    splitter.skip_opening()
                arrivals.run(run)
                position, size = run.size, len(data)
                if position == size:
                    return
                if streams.usual is not None:
                    position = arrivals.packets(data, position, streams.usual)
                    if position == size:
                        return
        if splitter is None:
            splitter = self._make_splitter()
        splitter.split(data, arrivals, position)
        self._http2.learn_run()

    def _make_splitter(self) -> FrameSplitter:
        splitter = self._splitter = FrameSplitter(
            preface=not self.role.client,
            max_frame=self.limits.max_frame,
            max_block=self.limits.max_header_list,
            live=self.streams.table.get,
        )
        if self._http2.opened:
            splitter.skip_opening()
        return splitter

    def backlog(self) -> int:
        """Bytes of control frames that wait for `output`."""
        return sum(map(len, self.streams.outgoing))

    def waiting(self) -> tuple[int, int]:
        """Bytes that wait to be sent, and bytes kept of messages and frames that are not whole."""
        held = self._splitter.held if self._splitter is not None else 0
        return self.backlog() + self.streams.queued(), held + self.streams.held()

    def output(self) -> bytes:
        """All bytes to send now: control frames, then the streams in turn, as windows allow."""
        streams = self.streams
        if streams.rota and not self.closed:
            streams.serve()
        out = streams.outgoing
        data = b"".join(out)
        out.clear()
        return data

    def pending(self) -> list[Event]:
        """Events that no received byte caused: `Writable`, after an `output`."""
        events, self.streams.pending = self.streams.pending, []
        return events

    def connection_lost(self) -> list[Event]:
        """The transport is gone: every live stream ends with UNAVAILABLE."""
        events = self.pending()
        if not self.closed:
            self.streams.end_all("the connection was lost", events)
        self.forget()
        return events

    def forget(self) -> None:
        """The same, by an owner who knows what to tell of the live streams: there are no events."""
        self.closed = True
        self.streams.drop_all()
        # It belongs to our owner, who would otherwise be left to the garbage collector with us.
        self._arrivals.deliver = None

    def open_stream(self, path: str, metadata: Metadata, *, authority: str, scheme: str) -> int:
        """Client: open a stream and return its id.

        Raises `StreamRefused` when none can be opened, ValueError for metadata that no header can
        hold.
        """
        if self.closed:
            raise StreamRefused("the connection has ended")
        if self.streams.peer_last != NEVER:
            raise StreamRefused("the peer takes no new streams")
        block = headers.request(path, authority, scheme, metadata)
        try:
            stream_id = self._http2.get_next_available_stream_id()
            self._http2.send_headers(stream_id, block)
        except TooManyStreamsError:
            raise StreamRefused("the peer's limit of concurrent streams is reached") from None
        except NoAvailableStreamIDError:
            raise StreamRefused("the stream ids of this connection are used up") from None
        self.streams.add(stream_id)
        return stream_id

    @property
    def used_up(self) -> bool:
        """Client: whether every stream id has been used, which ends with no other sign."""
        try:
            self._http2.get_next_available_stream_id()
        except NoAvailableStreamIDError:
            return True
        return False

    def ping(self, payload: bytes) -> None:
        """Queue a PING of 8 bytes; `Ponged` comes back. Raises ValueError for any other size."""
        if not self.closed:
            self._http2.ping(payload)

    def goaway(
        self, code: int = ErrorCode.NO_ERROR, debug: bytes = b"", *, notice: bool = False
    ) -> None:
        """Queue a GOAWAY.

        Live streams go on; new ones from the peer are refused with REFUSED_STREAM. A `notice` asks
        the peer to open none, but refuses none that are on their way (RFC 9113 section 6.8); a
        second GOAWAY is to follow.
        """
        if self.closed:
            return
        seen = NEVER - 1 if notice else self._http2.state.highest_inbound_stream_id
        last = min(self.streams.refused_above, seen)
        if not notice:
            self.streams.refused_above = last
        # Past h2, which would take this for the end.
        self.streams.outgoing.append(frames.goaway(last, code, debug))

    def _fail(self, code: int, text: str, events: list[Event]) -> None:
        self._arrivals.let_go()
        self.closed = True
        last = min(self.streams.refused_above, self._http2.state.highest_inbound_stream_id)
        # h2 has made a GOAWAY for the errors that it found itself, but without a word of
        # explanation.
        data = self._http2.refusal().removesuffix(frames.goaway(last, code, b""))
        debug = text.encode("utf-8", "replace")[:_MAX_DEBUG]
        self.streams.outgoing += [data, frames.goaway(last, code, debug)]
        self.streams.end_all(f"the connection broke: {text}", events)
        events.append(ConnectionEnded(code, text))
