"""The same bytes through konnect's connection and through h2 alone, told in the same words.

h2 alone sees every frame, so it is the judge of what `konnect.wire.frames` and `arrivals` do with
those that they keep from it. Both are servers here. What is told is a list of tuples; messages are
told as the bytes of each stream, since h2 knows no messages.

Where ours differs on purpose, h2 is helped over it here:

- GOAWAY ends everything for h2. For ours, as RFC 9113 section 6.8 has it, live streams go on.
- SETTINGS that widen a window too far count for h2 also where the stream has ended, until it looks.
- The bit before a window's increment is to be ignored (RFC 9113 section 6.9). h2 takes it for a
  part of the number.
- A frame that is too long is refused by its head, as that. h2 waits for all of it, and may find
  another fault first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import h2.events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from hyperframe.frame import GoAwayFrame, PingFrame, RstStreamFrame

from konnect.wire.events import (
    ConnectionEnded,
    Event,
    GoingAway,
    HalfClosed,
    MessageReceived,
    Pinged,
    StreamEnded,
    StreamOpened,
)
from konnect.wire.frames import HEAD_SIZE, PREFACE
from konnect.wire.framing import prefix
from konnect.wire.grpc import GrpcConnection, Limits, OpeningMemo, Role
from konnect.wire.status import ErrorCode
from tests.wire.pump import RawPeer, parse

LARGEST_FRAME = Limits().max_frame

Told = tuple[Any, ...]


@dataclass
class Outcome:
    """What a connection told and answered."""

    told: list[Told] = field(default_factory=list)
    bodies: dict[int, bytes] = field(default_factory=dict)
    """What came in DATA, of each stream; of ours only whole messages."""
    answers: list[Told] = field(default_factory=list)
    """RST_STREAM, PING and GOAWAY frames."""
    judged: bool = False
    """A stream was refused for what gRPC forbids: from there on h2 has no opinion."""

    def got(self, stream_id: int, data: bytes) -> None:
        self.bodies[stream_id] = self.bodies.get(stream_id, b"") + data

    def read(self, output: bytes) -> None:
        """Keep what is answered."""
        for frame in parse(output):
            if isinstance(frame, RstStreamFrame):
                self.answers.append(("reset", frame.stream_id, frame.error_code))
            elif isinstance(frame, GoAwayFrame):
                self.answers.append(("goaway", frame.error_code))
            elif isinstance(frame, PingFrame):
                self.answers.append(("ping", frame.opaque_data))


def ours(pieces: list[bytes], memo: OpeningMemo | None = None) -> Outcome:
    """What konnect's connection makes of the bytes."""
    wire = GrpcConnection(Role.SERVER, Limits(), memo=memo)
    wire.start()
    seen = Outcome()
    wire.output()
    for piece in pieces:
        for event in wire.receive(piece):
            _tell(event, wire, seen)
        seen.read(wire.output())
    return seen


def _tell(event: Event, wire: GrpcConnection, seen: Outcome) -> None:
    match event:
        case StreamOpened():
            seen.told.append(("opened", event.stream_id, event.path))
        case MessageReceived():
            seen.got(event.stream_id, prefix(len(event.payload)) + event.payload)
            wire.acknowledge(event.stream_id, event.cost)
        case HalfClosed():
            seen.told.append(("half-closed", event.stream_id))
        case StreamEnded(reset=True):
            if not event.message.startswith("the connection broke"):
                seen.told.append(("reset", event.stream_id))
        case StreamEnded():
            seen.judged = True
        case Pinged():
            seen.told.append(("pinged",))
        case GoingAway():
            seen.told.append(("goaway", event.last_stream_id, event.code))
        case ConnectionEnded():
            seen.told.append(("error", event.code))


def alone(data: bytes) -> Outcome:
    """What h2 makes of them."""
    wire = H2Connection(
        H2Configuration(
            client_side=False,
            header_encoding=None,
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
        )
    )
    wire.initiate_connection()
    wire.data_to_send()
    seen = Outcome()
    for frame in whole_frames(data):
        before = wire.state_machine.state
        try:
            events = wire.receive_data(frame)
        except ProtocolError as error:
            long = int.from_bytes(frame[:3]) > LARGEST_FRAME and frame != PREFACE
            code = int(ErrorCode.FRAME_SIZE_ERROR if long else error.error_code)
            seen.told.append(("error", code))
            seen.answers.append(("goaway", code))
            break
        for event in events:
            _tell_h2(event, wire, seen)
            if isinstance(event, h2.events.ConnectionTerminated):
                wire.state_machine.state = before
        assert wire.open_inbound_streams >= 0  # a look: it forgets those that have ended
        seen.read(wire.data_to_send())
    return seen


def _tell_h2(event: h2.events.Event, wire: H2Connection, seen: Outcome) -> None:
    match event:
        case h2.events.RequestReceived():
            if not set(event.headers) >= set(RawPeer.REQUEST):
                seen.judged = True
            path = dict(event.headers).get(b":path", b"").decode()
            seen.told.append(("opened", event.stream_id, path))
        case h2.events.DataReceived():
            seen.got(event.stream_id, event.data)
            if event.flow_controlled_length:
                wire.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        case h2.events.StreamEnded():
            seen.told.append(("half-closed", event.stream_id))
        case h2.events.StreamReset():
            seen.told.append(("reset", event.stream_id))
        case h2.events.PingReceived():
            seen.told.append(("pinged",))
        case h2.events.ConnectionTerminated():
            last = (event.last_stream_id or 0) & 0x7FFFFFFF  # without the reserved bit
            seen.told.append(("goaway", last, int(event.error_code or 0)))


def whole_frames(data: bytes) -> list[bytes]:
    """
    The preface and the frames of a client's bytes, one by one: h2 forgets the events that came in
    one piece with an error.

    The last may be cut off, but one that is too long is completed: ours refuses it by its head, h2
    when it is whole.
    """
    found = [data[: len(PREFACE)]]
    position = len(PREFACE)
    while position < len(data):
        length = int.from_bytes(data[position : position + 3])
        end = position + HEAD_SIZE + length
        piece = data[position:end]
        if piece[3:4] == b"\x08" and length == 4 and len(piece) > HEAD_SIZE:
            piece = piece[:HEAD_SIZE] + bytes((piece[HEAD_SIZE] & 0x7F,)) + piece[HEAD_SIZE + 1 :]
        if length > LARGEST_FRAME and len(piece) >= HEAD_SIZE:
            piece = piece.ljust(HEAD_SIZE + length, b"?")
        found.append(piece)
        position = end
    return found
