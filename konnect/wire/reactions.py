"""What h2's events do to the streams of a connection, and which events of ours that makes.

`Reactions` decides how a stream's end maps to a status, and what is answered to a request that is
none of gRPC's. DATA and WINDOW_UPDATE, which h2 does not see, are `arrivals`' part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import h2.events
from h2.settings import SettingCodes

from konnect.wire import frames, headers
from konnect.wire.events import (
    Event,
    GoingAway,
    HalfClosed,
    HeadersReceived,
    Pinged,
    Ponged,
    StreamEnded,
)
from konnect.wire.framing import CompressedMessage, FramingError
from konnect.wire.overhead import Overhead
from konnect.wire.status import OK, ErrorCode, Status, code_name, from_reset
from konnect.wire.stream import Stream
from konnect.wire.streams import Streams
from konnect.wire.windows import DEFAULT, WindowOverflow

_INITIAL_WINDOW_SIZE = SettingCodes.INITIAL_WINDOW_SIZE

Reaction = Callable[[Any, Any, list[Event]], None]


def overflow(what: str) -> frames.ProtocolViolation:
    """The error for a window that was widened too far."""
    text = f"the window of {what} was widened beyond its limit"
    return frames.ProtocolViolation(ErrorCode.FLOW_CONTROL_ERROR, text)


class Reactions:
    """
    The part of `konnect.wire.arrivals.Arrivals` that has a connection's reactions, looked up in
    `_reactions` by the class of h2's event.
    """

    __slots__ = ("_live", "_reactions", "_streams", "overhead")

    _streams: Streams
    _live: dict[int, Stream]
    _reactions: dict[type, Reaction]
    overhead: Overhead
    """Of what floods are made."""

    def _look_up(self, events: Sequence[Any]) -> Sequence[tuple[Reaction, Any]]:
        """What such events do, each with its event, on this connection and on all that share its
        memo; those are left out that do nothing."""
        found = [(self._reactions.get(event.__class__), event) for event in events]
        idle = None if self._streams.limits.in_doubt else Reactions._settings_acknowledged
        return [
            (reaction, event)
            for reaction, event in found
            if reaction is not None and reaction is not idle
        ]

    def _settings(self, event: h2.events.RemoteSettingsChanged, events: list[Event]) -> None:
        change = event.changed_settings.get(_INITIAL_WINDOW_SIZE)
        if change is None:
            return
        before = DEFAULT if change.original_value is None else change.original_value
        for stream in self._live.values():
            try:
                stream.widen(change.new_value - before)
            except WindowOverflow:
                raise overflow(f"stream {stream.id}") from None
            stream.reserve = max(0, change.new_value - stream.most)
            self._streams.enter_rota(stream)

    def _settings_acknowledged(
        self, event: h2.events.SettingsAcknowledged, events: list[Event]
    ) -> None:
        # A window below the default holds from now on.
        streams = self._streams
        if streams.in_doubt:
            for stream in self._live.values():
                stream.into -= streams.in_doubt
            streams.in_doubt = 0

    def _ping(self, event: h2.events.PingReceived, events: list[Event]) -> None:
        events.append(Pinged(self._streams.granted - self._streams.out))

    def _pong(self, event: h2.events.PingAckReceived, events: list[Event]) -> None:
        events.append(Ponged(event.ping_data))

    def _goaway(self, body: memoryview, events: list[Event]) -> None:
        """The peer takes no new streams, and none of ours above the id it names.

        Raises `ProtocolViolation`.
        """
        last, code, debug = frames.parse_goaway(body)
        streams = self._streams
        # A second GOAWAY may only lower the id (RFC 9113 section 6.8).
        streams.peer_last = last = min(last, streams.peer_last)
        events.append(GoingAway(last, code, debug))
        if streams.client:
            for stream in [stream for stream in self._live.values() if stream.id > last]:
                streams.reset(stream, ErrorCode.CANCEL)
                text = f"the server is going away and did not take the stream: {code_name(code)}"
                events.append(StreamEnded(stream.id, Status.UNAVAILABLE, text, True))

    def _request(self, event: h2.events.RequestReceived, events: list[Event]) -> None:
        ended = event.stream_ended is not None
        request = headers.judge_request(event.stream_id, event.headers, ended=ended)
        self._request_read(request, events)

    def _request_read(self, read: headers.RequestRead, events: list[Event]) -> None:
        streams = self._streams
        stream_id = read.stream_id
        opened, refusal = read.opened, read.refusal
        most = streams.limits.max_streams
        if stream_id > streams.refused_above:
            streams.http2.reset_stream(stream_id, ErrorCode.REFUSED_STREAM)
        elif most and most <= len(self._live):
            self.overhead.wasted += 1
            streams.http2.reset_stream(stream_id, ErrorCode.REFUSED_STREAM)
        elif opened is not None:
            streams.add(stream_id, read.encoding)
            events.append(opened)
        elif refusal is None:
            streams.http2.reset_stream(stream_id, ErrorCode.PROTOCOL_ERROR)
        else:
            block = headers.response((), refusal.http_status)
            block += headers.trailers(refusal.status, refusal.message)
            streams.http2.send_headers(stream_id, block, end_stream=True)
            if not read.ended:
                streams.http2.reset_stream(stream_id, ErrorCode.NO_ERROR)

    def _response(self, event: h2.events.ResponseReceived, events: list[Event]) -> None:
        stream = self._live.get(event.stream_id)
        if stream is None:
            return
        ended = event.stream_ended is not None
        try:
            response = headers.read_response(event.headers, ended=ended)
        except headers.MalformedHeaders as error:
            self._leave(stream, headers.Ending(Status.INTERNAL, str(error)), ended, events)
            return
        if isinstance(response, headers.Ending):
            self._leave(stream, response, ended, events)
            return
        stream.encoding = response.encoding
        events.append(HeadersReceived(stream.id, response.metadata))

    def _trailers(self, event: h2.events.TrailersReceived, events: list[Event]) -> None:
        stream = self._live.get(event.stream_id)
        if stream is None:
            return
        try:
            ending = headers.read_trailers(event.headers)
        except headers.MalformedHeaders as error:
            ending = headers.Ending(Status.INTERNAL, str(error))
        if ending.status is OK and stream.incomplete:
            ending = headers.Ending(Status.INTERNAL, "the server ended the stream within a message")
        self._leave(stream, ending, True, events)

    def _end_stream(self, event: h2.events.StreamEnded, events: list[Event]) -> None:
        stream = self._live.get(event.stream_id)
        if stream is None:
            return
        if self._streams.client:
            text = "the server closed the stream without sending trailers"
            self._leave(stream, headers.Ending(Status.INTERNAL, text), True, events)
            return
        stream.half_closed = True
        if self._streams.usual is stream:
            self._streams.usual = None
        if stream.ending is not None:
            return
        if stream.incomplete:
            self._refuse(stream, Status.INTERNAL, "the client half-closed within a message", events)
            return
        events.append(HalfClosed(stream.id))

    def _reset(self, event: h2.events.StreamReset, events: list[Event]) -> None:
        stream = self._live.get(event.stream_id)
        if stream is None:
            return
        self._streams.drop(stream)
        if not (event.remote_reset and stream.headers_sent):
            self.overhead.wasted += 1
        if stream.told:
            return
        code = int(event.error_code)
        if event.remote_reset:
            text = f"stream terminated by RST_STREAM with error code: {code_name(code)}"
        else:
            text = f"stream reset for what the peer sent on it: {code_name(code)}"
        events.append(StreamEnded(stream.id, from_reset(code), text, True))

    def _refuse_message(self, stream: Stream, error: FramingError, events: list[Event]) -> None:
        """End a stream for a message that cannot be accepted."""
        self._refuse(stream, *self._framing_status(stream, error), events)

    def _refuse(self, stream: Stream, status: Status, text: str, events: list[Event]) -> None:
        events.append(StreamEnded(stream.id, status, text, False))
        stream.told = stream.deaf = True
        if self._streams.client:
            self._streams.reset(stream, ErrorCode.CANCEL)
        else:
            self._streams.end(stream, headers.trailers(status, text))

    def _leave(
        self, stream: Stream, ending: headers.Ending, ended: bool, events: list[Event]
    ) -> None:
        """Client: the stream is over. `ended`: whether the server's END_STREAM has come."""
        events.append(StreamEnded(stream.id, ending.status, ending.message, False))
        if not ended:
            self._streams.reset(stream, ErrorCode.CANCEL)
        elif not stream.finished:
            self._streams.reset(stream, ErrorCode.NO_ERROR)
        else:
            self._streams.drop(stream)

    def _framing_status(self, stream: Stream, error: FramingError) -> tuple[Status, str]:
        """grpc's words for a message that cannot be accepted."""
        if not isinstance(error, CompressedMessage):
            return Status.RESOURCE_EXHAUSTED, str(error)
        if error.flag != 1:
            return Status.INTERNAL, f"grpc: received unexpected payload format {error.flag}"
        if stream.encoding in ("", "identity"):
            return Status.INTERNAL, "grpc: compressed flag set with identity or empty encoding"
        status = Status.INTERNAL if self._streams.client else Status.UNIMPLEMENTED
        return status, f'grpc: Decompressor is not installed for grpc-encoding "{stream.encoding}"'


# Plain functions: bound methods would have to be made anew by each connection.
_BOTH: dict[type, Reaction] = {
    h2.events.RemoteSettingsChanged: Reactions._settings,
    h2.events.SettingsAcknowledged: Reactions._settings_acknowledged,
    h2.events.StreamReset: Reactions._reset,
    h2.events.StreamEnded: Reactions._end_stream,
    h2.events.PingReceived: Reactions._ping,
    h2.events.PingAckReceived: Reactions._pong,
}
CLIENT: dict[type, Reaction] = {
    **_BOTH,
    h2.events.ResponseReceived: Reactions._response,
    h2.events.TrailersReceived: Reactions._trailers,
}
SERVER: dict[type, Reaction] = {
    **_BOTH,
    h2.events.RequestReceived: Reactions._request,
    headers.RequestRead: Reactions._request_read,
}
