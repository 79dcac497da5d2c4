"""Connections whose streams are cut through, and what is told of each stream: an account that does
not depend on how the bytes are cut into reads.

Every other stream has an inlet; the others are told by events. Of each tunnel's bytes only their
order counts, not the pieces. An inlet's owner gives some of the window back at once, the rest after
the read, and ends its stream for certain packets.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import Any

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
)
from konnect.wire.frames import HEAD_SIZE, PREFACE
from konnect.wire.grpc import GrpcConnection, Limits, OpeningMemo, Role
from konnect.wire.inlet import PacketInlet
from konnect.wire.status import Status
from tests.wire.plain_http2 import Outcome
from tests.wire.pump import PATH

LIMITS = Limits(
    max_message=5000, stream_window=65535, connection_window=65535, max_frame=16384 + 64
)

LAST = 60_000
"""Bytes of the longest conversation: no stream comes to the end of its window, which is a matter of
when it was given back."""

ENDS = b"\x08\x06"
"""A packet (DRAIN) at which the owner of a stream ends it."""

PEER_STREAMS = (1, 3, 5, 7)
"""Those that are open at a client, or that a peer opens; the first and every second have inlets."""

_ALIKE = re.compile(rb"...\0\0\0\0\0[\1\5]", re.DOTALL)
"""The head of a DATA frame on a stream that has an inlet."""

Told = tuple[Any, ...]


@dataclass
class Account:
    """What one stream was told, as a `PacketSink` and by events."""

    told: list[Told] = field(default_factory=list)
    packets: int = 0
    kept: int = 0
    """Bytes of its window that are to be given back."""
    end: Any = None

    def data(self, connect_id: int, piece: bytes | memoryview, cost: int) -> int:
        assert piece, "a piece without bytes"
        self.packets += cost > len(piece)
        last = self.told[-1] if self.told else ()
        if last[:2] == ("data", connect_id):
            self.told[-1] = ("data", connect_id, last[2] + bytes(piece))
        else:
            self.tell("data", connect_id, bytes(piece))
        return self._back(connect_id, cost)

    def joined(self, packets: int) -> None:
        assert packets > 0
        self.packets += packets

    def packet(self, payload: bytes, cost: int) -> int:
        self.tell("packet", payload)
        if payload == ENDS:
            self.end()
        return self._back(len(payload), cost)

    def tell(self, *what: Any) -> None:
        """Note it; nothing may follow the end."""
        assert not self.told or self.told[-1][0] is not StreamEnded, "told after its end"
        self.told.append(what)

    def _back(self, number: int, cost: int) -> int:
        if number % 2:
            return cost
        self.kept += cost
        return 0


class Listener:
    """One connection under test."""

    def __init__(self, role: Role, memo: OpeningMemo | None = None) -> None:
        limits = LIMITS if memo is None else None
        self.wire = GrpcConnection(role, limits, memo=memo, deliver=self._act)
        self.accounts: dict[int, Account] = {}
        self.rest: list[Told] = []
        """What is told of no stream."""
        self._outcome = Outcome()
        self.wire.start()
        if role is Role.CLIENT:
            for _ in PEER_STREAMS:
                self._listen(self.wire.open_stream(PATH, (), authority="a", scheme="http"))
        self.wire.output()

    def receive(self, piece: bytes) -> None:
        """One read, and all that follows it."""
        self._act(self.wire.receive(piece))
        for stream_id, account in self.accounts.items():
            kept, account.kept = account.kept, 0
            self.wire.acknowledge(stream_id, kept)
        self._outcome.read(self.wire.output())

    def outcome(self) -> tuple[Any, ...]:
        accounts = {i: (each.told, each.packets) for i, each in self.accounts.items()}
        return accounts, self.rest, self._outcome.answers

    def check_windows(self) -> None:
        """What was charged has been given back, but for what is still to be told."""
        wire = self.wire
        splitter, arrivals = wire._splitter, wire._arrivals
        assert LIMITS.claim_at < wire.streams.into <= LIMITS.connection_window, "connection"
        assert arrivals.gathering is None
        for stream in wire.streams.table.values():
            if stream.deaf:
                continue
            used = LIMITS.stream_window - stream.into - stream.owed
            left = 0
            if splitter is not None and splitter._data_stream == stream.id:
                left = splitter._data_left
            if stream.inlet is not None:
                assert not stream.inlet.waiting
                assert used == left + len(stream.inlet._rest), f"stream {stream.id}"
            elif stream.deframer is not None:
                assert used == left + stream.deframer.received - stream.early, f"{stream.id}"

    def _listen(self, stream_id: int) -> None:
        account = self.accounts[stream_id] = Account()
        if stream_id % 4 == 1:
            account.end = lambda: self._end(stream_id)
            inlet = PacketInlet(account, LIMITS.max_message)
            self.wire.stream(stream_id).take_inlet(inlet)

    def _end(self, stream_id: int) -> None:
        if self.wire.role is Role.SERVER:
            self.wire.end_stream(stream_id, Status.CANCELLED)
        else:
            self.wire.reset_stream(stream_id)

    def _act(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case StreamOpened():
                    self._listen(event.stream_id)
                case MessageReceived():
                    account = self.accounts[event.stream_id]
                    account.tell("message", event.payload)
                    account.kept += event.cost
                case HalfClosed() | HeadersReceived():
                    self.accounts[event.stream_id].tell(type(event))
                case StreamEnded():
                    # That of the connection's end may quote as much as has come.
                    broke = event.message.startswith("the connection broke")
                    text = "" if broke else event.message
                    account = self.accounts[event.stream_id]
                    account.tell(StreamEnded, event.status, text, event.reset)
                case Pinged() | Ponged():
                    self.rest.append((type(event),))
                case GoingAway():
                    self.rest.append((GoingAway, event.last_stream_id, event.code))
                case ConnectionEnded():
                    self.rest.append((ConnectionEnded, event.code))
        events.clear()


def outcome(role: Role, pieces: list[bytes], memo: OpeningMemo | None = None) -> Any:
    """What becomes of the reads; the windows are looked at after each."""
    listener = Listener(role, memo)
    for piece in pieces:
        listener.receive(piece)
        listener.check_windows()
    return listener.outcome()


def reads(whole: bytes, step: int) -> list[list[bytes]]:
    """Some ways to cut a conversation into reads: at once, in steps, and so that reads begin, or
    end, where frames do, or what looks like one."""
    ends = [0]
    position = len(PREFACE) if whole.startswith(PREFACE) else 0
    while position < len(whole):
        ends.append(position)
        position += HEAD_SIZE + int.from_bytes(whole[position : position + 3])
    ends.append(len(whole))
    alike = [match.start() for match in _ALIKE.finditer(whole)]
    some = ends[:: 2 + step % 3]
    shifted = [min(end + 1 + step, len(whole)) for end in ends]
    cuts = [
        [0, len(whole)],
        [*range(0, len(whole), step), len(whole)],
        ends,
        sorted({0, *some, len(whole)}),
        sorted({*ends, *shifted}),
        sorted({0, *some, *shifted, len(whole)}),
        sorted({0, *alike, *(max(start - 7, 0) for start in alike), len(whole)}),
    ]
    return [[whole[a:b] for a, b in itertools.pairwise(cut) if b > a] for cut in cuts]
