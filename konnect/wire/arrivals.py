"""What received frames do: the sink of a connection's `FrameSplitter`.

DATA is charged to the windows of its connection and stream, which are ours, and goes to the
stream's inlet (cut-through) or is joined to messages; WINDOW_UPDATE widens what may be sent; every
other frame is shown to h2, whose events are `reactions`' part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from konnect.wire import frames
from konnect.wire.events import Event, MessageReceived, StreamEnded
from konnect.wire.framing import PREFIX_SIZE, Deframer
from konnect.wire.overhead import TINY, Overhead
from konnect.wire.packet_frames import PacketFrames
from konnect.wire.reactions import CLIENT, SERVER, overflow
from konnect.wire.runs import Run
from konnect.wire.status import ErrorCode, Status
from konnect.wire.streams import Streams
from konnect.wire.windows import WindowOverflow, overrun


class Arrivals(PacketFrames):
    """The frames of one connection, as a `FrameSink`; `events` is what they have brought about."""

    __slots__ = ()

    def __init__(self, streams: Streams, deliver: Callable[[list[Event]], None] | None) -> None:
        """`deliver`: acts on the events so far: what an inlet gives must not overtake them."""
        self._streams = streams
        self._live = streams.table
        self._reactions = CLIENT if streams.client else SERVER
        self.overhead = Overhead()
        self.deliver = deliver
        self.events = []
        self.gathering = None

    def for_h2(self, piece: memoryview) -> None:
        """See `FrameSink`."""
        self.overhead.add_piece(piece)
        self._show_h2(piece)

    def _show_h2(self, piece: bytes | memoryview) -> None:
        if self.gathering is not None:
            self.let_go()
        self._react(self._streams.http2.receive_data(piece))

    def _react(self, events: Sequence[Any]) -> None:
        reactions = self._reactions
        for event in events:
            reaction = reactions.get(event.__class__)
            if reaction is not None:
                reaction(self, event, self.events)

    def let_go(self) -> None:
        """The read is over, or something else comes: pass on what waits of the last stream."""
        stream, self.gathering = self.gathering, None
        if stream is None:
            return
        inlet = stream.inlet
        if inlet is None or not inlet.waiting:  # None: it is over
            return
        if stream.deaf:
            inlet.forget()
            return
        back = inlet.let_go()
        if back and self._live.get(stream.id) is stream:
            self._streams.give_back(stream, back)

    def run(self, run: Run) -> None:
        """Frames that came together at the beginning of a read, and what they do (`runs`)."""
        overhead = self.overhead
        overhead.count += run.count
        overhead.runs += (run.kinds,)
        if run.widens:
            streams = self._streams
            streams.out += run.widens
            streams.granted += run.widens
        reactions = run.reactions
        if reactions is None:
            reactions = run.reactions = self._look_up(run.events)
        if reactions:
            events = self.events
            for reaction, event in reactions:
                reaction(self, event, events)
            if events and self.deliver is not None:
                # What comes behind a request can take the way that its owner chooses for it.
                self.deliver(events)

    def data(
        self, stream_id: int, piece: memoryview, charge: int, ended: bool, padding: int = 0
    ) -> None:
        """See `FrameSink`. Raises `ProtocolViolation`."""
        if not piece:
            self.overhead.add(frames.DATA)
        if self.gathering is not None and self.gathering.id != stream_id:
            self.let_go()
        streams = self._streams
        live = self._live
        stream = live.get(stream_id)
        if charge:
            # The connection's window goes back whatever becomes of the bytes: no stream may hold up
            # another.
            streams.into -= charge
            if streams.into < 0:
                raise overrun("connection")
            if streams.into <= streams.limits.claim_at:
                self._claim()
            if stream is not None:
                stream.into -= charge
                if stream.into < 0:
                    raise overrun("stream")
        if stream is not None and self.events and self.deliver is not None:
            # Whoever is told of the stream may cut it through, or end it.
            self.deliver(self.events)
            stream = live.get(stream_id)
        if stream is not None and not stream.deaf:
            inlet = stream.inlet
            if inlet is None:
                self._messages(stream_id, piece, padding)
            else:
                back = inlet.feed(piece) + padding
                if inlet.waiting:
                    self.gathering = stream
                    if inlet.error is not None:
                        self.let_go()
                if live.get(stream_id) is stream:
                    if inlet.error is not None:
                        self._refuse_message(stream, inlet.error, self.events)
                    elif back:
                        streams.give_back(stream, back)
        if ended:
            self._show_h2(frames.end_of_data(stream_id))

    def _claim(self) -> None:
        """Let the peer have back what the connection's window lacks."""
        streams = self._streams
        lacks = streams.limits.whole_window - streams.into
        streams.open_window(0, lacks)
        streams.into += lacks

    def _messages(self, stream_id: int, piece: memoryview, back: int) -> None:
        stream = self._live[stream_id]
        deframer = stream.deframer
        if deframer is None:
            deframer = stream.deframer = Deframer(self._streams.limits.max_message)
        half = self._streams.limits.stream_window // 2
        for payload in deframer.feed(piece):
            cost = PREFIX_SIZE + len(payload)
            if cost > half:
                back += cost - half - stream.early
                cost = half
            stream.early = 0
            self.events.append(MessageReceived(stream_id, payload, cost))
        if deframer.error is not None:
            self._refuse_message(stream, deframer.error, self.events)
            return
        if deframer.expected > half:
            # If a message might not fit into the window, all of it but half a window is given back
            # as it comes.
            early = min(deframer.expected - half, deframer.received)
            back += early - stream.early
            stream.early = early
        if back:
            self._streams.give_back(stream, back)
        if stream.next_inlet is not None:
            stream.take_inlet(stream.next_inlet)

    def window_update(self, stream_id: int, increment: int) -> None:
        """See `FrameSink`. Raises `ProtocolViolation`."""
        if increment < TINY:
            self.overhead.add(frames.WINDOW_UPDATE)
        streams = self._streams
        if not stream_id:
            try:
                streams.widen(increment)
            except WindowOverflow:
                raise overflow("the connection") from None
            streams.granted += increment
            return
        stream = self._live[stream_id]
        try:
            stream.widen(increment)
        except WindowOverflow:
            # One stream's fault ends that stream (RFC 9113 section 6.9.1).
            self.let_go()
            if self._live.get(stream_id) is not stream:
                return
            streams.reset(stream, ErrorCode.FLOW_CONTROL_ERROR)
            if not stream.told and (streams.client or stream.ending is None):
                text = "the peer widened the window of the stream beyond its limit"
                self.events.append(StreamEnded(stream.id, Status.INTERNAL, text, True))
            return
        streams.enter_rota(stream)

    def goaway(self, body: memoryview) -> None:
        """See `FrameSink`. Raises `ProtocolViolation`."""
        self.overhead.add(frames.GOAWAY)
        self.let_go()
        self._goaway(body, self.events)
