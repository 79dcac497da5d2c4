"""The live streams of one connection: their state, their turn to send, their windows.

`Streams` is what calls from above (`grpc`) and events from below (`reactions`) both work on. A
stream is in its table from the moment it is opened until nothing more will be sent or told of it;
as long as it is, h2 knows it as open in at least one direction, so calls to h2 for a stream in the
table do not fail.
"""

from __future__ import annotations

from struct import Struct

from konnect.wire import frames, headers
from konnect.wire.events import Event, StreamEnded, Writable
from konnect.wire.frames import SMALLEST_LIMIT
from konnect.wire.framing import PREFIX_SIZE
from konnect.wire.http2 import Limits, Role
from konnect.wire.remembered import RememberedHttp2
from konnect.wire.status import ErrorCode, Status
from konnect.wire.stream import Stream
from konnect.wire.windows import DEFAULT, Windows

TURN = 16384
"""How many bytes one stream may send before the next has its turn."""

_HEADS = Struct("!IxIxI")
"""A DATA frame's head and a message's prefix, as `frames.data_head` and `framing.prefix` make them,
in one: the frame's length and its type, which is 0; its stream; the message's length."""

NEVER = 2**31
"""Above every stream id."""


class Streams(Windows):
    """The table, the rota of those with something to send, and what happens at a stream's end. Its
    windows are the connection's."""

    peer_last = NEVER
    """The last stream id of the peer's GOAWAY."""

    def __init__(self, http2: RememberedHttp2, limits: Limits, role: Role) -> None:
        self.http2 = http2
        self.limits = limits
        self.window = limits.stream_window
        """Bytes of each stream's window for receiving, as announced last."""
        self.client = role.client
        self.refused_above = NEVER
        """Server: new streams above this id are refused, since we have sent a GOAWAY."""
        self.table: dict[int, Stream] = {}
        self.into = limits.whole_window
        self.granted = self.out = DEFAULT
        """Bytes that the peer has let us send on the connection, in all."""
        self.outgoing = http2.out
        """What goes out next, in order."""
        self.pending: list[Event] = []
        """Events that no received byte caused."""
        self.usual: Stream | None = None
        """The live one whose whole packets came last (before any, the first): a link has but one,
        as most clients have, and a read that goes on with it need not be cut into frames first. The
        peer has not ended its side."""
        self.rota: list[Stream] = []
        """Those with something to send, in turn."""
        self.in_doubt = limits.in_doubt
        """What is to be taken from each stream's window when the peer has our SETTINGS."""

    def queued(self) -> int:
        """Bytes in the queues of all streams."""
        return sum(stream.queue.size for stream in self.table.values())

    def held(self) -> int:
        """Bytes kept of messages that have not come whole."""
        return sum(stream.held for stream in self.table.values())

    def add(self, stream_id: int, encoding: str = "") -> None:
        """A stream has been opened."""
        into, out = self.window + self.in_doubt, self.http2.state.peer_stream_window
        stream = self.table[stream_id] = Stream(stream_id, into, out, encoding)
        if self.usual is None:
            self.usual = stream

    def drop(self, stream: Stream) -> None:
        """Forget a stream and what it had queued.

        It may still stand in the rota, where it is passed over.
        """
        stream.deaf = True
        stream.straight = False
        if self.usual is stream:
            self.usual = None
        if stream.queue.size:
            stream.queue.clear()
        inlet = stream.inlet
        if inlet is not None:
            # Whom it gives what has come may know the stream, and would be left to the garbage
            # collector with it.
            stream.inlet = None
            if inlet.taken:
                inlet.close()
        del self.table[stream.id]

    def reset(self, stream: Stream, code: int) -> None:
        """End a stream at once in both directions."""
        self.drop(stream)
        self.http2.reset_stream(stream.id, code)

    def enter_rota(self, stream: Stream) -> None:
        """The stream has something to send, or room for it."""
        if not stream.in_turn and stream.queue.size:
            stream.in_turn = True
            stream.straight = False
            self.rota.append(stream)

    def serve(self) -> None:
        """Turn queued bytes into DATA frames: each stream in turn, as far as the windows allow."""
        rota = self.rota
        out = self.outgoing
        frame = self.http2.state.max_outbound_frame_size
        while rota:
            stream = rota[0]
            queue = stream.queue
            if queue.size:
                if self.out <= 0:
                    return
                room = min(self.out, stream.out - stream.reserve)
                if room > 0:
                    turn = frame if len(rota) == 1 else min(TURN, frame)
                    size = min(turn, room, queue.size)
                    out.append(frames.data_head(stream.id, size))
                    queue.move(size, out)
                    self.out -= size
                    stream.out -= size
                    if queue.relieved() and stream.ending is None:
                        self.pending.append(Writable(stream.id))
                    if queue.size:
                        rota.append(rota.pop(0))
                        continue
                    stream.straight = stream.ending is None
                    if stream.ending is not None:
                        self.send_ending(stream)
            # Done, ended, or out of window; a WINDOW_UPDATE brings the last kind back.
            rota.pop(0)
            stream.in_turn = False

    def direct(self, stream: Stream, head: bytes, size: int) -> bytes | None:
        """
        Past the queue of a stream that is `straight`: what goes before `size` bytes that end a
        message which begins with `head`, where all of it may go out at once as one frame; the
        windows are charged. Else None.
        """
        message = len(head) + size
        length = PREFIX_SIZE + message
        if (
            length > self.out
            or length > stream.out - stream.reserve
            or (length > SMALLEST_LIMIT and length > self.http2.state.max_outbound_frame_size)
        ):
            return None
        self.out -= length
        stream.out -= length
        return _HEADS.pack(length << 8, stream.id, message) + head

    def end(self, stream: Stream, block: headers.HeaderBlock) -> None:
        """End our side of the stream behind its queue."""
        stream.ending = block
        stream.straight = False
        stream.deaf = stream.deaf or not self.client
        if not stream.queue.size:
            self.send_ending(stream)

    def send_ending(self, stream: Stream) -> None:
        """The queue is empty: send what ends our side."""
        if self.client:
            self.http2.end_stream(stream.id)
            stream.finished = True
            return
        block = stream.ending or []
        if not stream.headers_sent:
            block = headers.RESPONSE + block
        self.http2.send_headers(stream.id, block, end_stream=True)
        if stream.half_closed:
            self.drop(stream)
        else:
            # The whole answer is out; nothing more is wanted (RFC 9113 section 8.1).
            self.reset(stream, ErrorCode.NO_ERROR)

    def give_back(self, stream: Stream, size: int) -> None:
        """Let the peer send `size` more bytes on the stream: a quarter of the window at a time, or
        `SHARE` if that is less."""
        stream.owed += size
        if stream.owed >= self.limits.share and not stream.half_closed:
            owed, stream.owed = stream.owed, 0
            self.open_window(stream.id, owed)
            stream.into += owed
            if stream.given is not None:
                stream.given(owed)

    def open_window(self, stream_id: int, increment: int) -> None:
        """Queue a WINDOW_UPDATE; stream 0 is the connection."""
        self.outgoing.append(frames.window_update(stream_id, increment))

    def end_all(self, text: str, events: list[Event]) -> None:
        """The connection is over: tell the owners of all live streams."""
        for stream in self.table.values():
            # A server that has ended a stream itself hears no more of it.
            if not stream.told and (self.client or stream.ending is None):
                events.append(StreamEnded(stream.id, Status.UNAVAILABLE, text, True))
        self.drop_all()

    def drop_all(self) -> None:
        """`drop` each of them."""
        for stream in [*self.table.values()]:
            self.drop(stream)
