"""h2's answers, remembered: a connection that begins like others before it needs no h2 of its own.

What h2 sends and tells is a function of what it was told, in order, and of nothing else. Stock
clients make a connection for each tunnel and say the same bytes on each, up to the DATA frames,
which h2 never sees. So everything told is a *step* from one state to the next, kept with h2's
answer by the state it began in and its exact bytes; a connection is a place in that tree. Only when
something comes that was not said there before is a real h2 made, by telling it the steps once more,
and what it answers is remembered in turn. A connection's place and its h2 are in
`konnect.wire.remembered`; nothing is understood here.

Why: an h2 connection costs some 250 us and 16 KB to open, more than all the rest of a tunnel
(docs/performance.md).

Bounds: `STEPS` steps for one listener, the oldest that is not in use forgotten first, each of at
most `LONGEST` bytes, and as many runs (`konnect.wire.runs`), which keep the steps that they lead
to. Beyond `DEPTH` steps a connection goes on with its own h2. What clients fill the memo with costs
others time, never correctness: bytes that differ are other steps.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Any

from h2.events import Event, RequestReceived

from konnect.wire import http2
from konnect.wire.headers import RequestRead, judge_request
from konnect.wire.http2 import Http2Connection, Limits
from konnect.wire.runs import Runs

STEPS = 512
"""Steps remembered. A client program needs some ten, for all its connections together."""

LONGEST = 1024
"""Bytes of what was told, or of h2's answer, above which a step is not remembered."""

DECODED = 4096
"""The same for the header fields of a request, which a few bytes of HPACK can blow up."""

DEPTH = 32
"""Steps of one connection; to make an h2 late costs as much as all of them."""

Told = bytes | tuple[Any, ...]
"""Received bytes, or a method of h2's connection and its arguments."""


class Step:
    """A state of h2's connection: how it was reached, and what h2 said on the way."""

    __slots__ = (
        "before",
        "depth",
        "events",
        "highest_inbound_stream_id",
        "max_outbound_frame_size",
        "out",
        "peer_stream_window",
        "response",
        "runs",
        "told",
        "used",
    )

    def __init__(
        self,
        before: Step | None,
        told: Told,
        out: bytes,
        events: Sequence[Event | RequestRead],
        real: Http2Connection,
    ) -> None:
        self.before = before
        self.told = told
        self.out = out
        self.events = events
        self.depth: int = before.depth + 1 if before is not None else 0
        self.runs: Runs | None = None
        """The runs of frames that have begun here."""
        self.response: Step | None = None
        """Where the usual beginning of a response leads, to the stream that was opened last, while
        that is remembered. Each tunnel needs it, and to look it up as any other step takes 5,000
        instructions more."""
        self.used = False
        """Since it came to be the next to be forgotten; it is spared once for that."""
        self.peer_stream_window = real.peer_stream_window
        self.max_outbound_frame_size = real.max_outbound_frame_size
        self.highest_inbound_stream_id = real.highest_inbound_stream_id


class OpeningMemo:
    """The steps of one listener's connections, all with the same limits, in the server role."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.begun = 0
        """Connections that began here."""
        self.made = 0
        """How many of them had a real connection of h2's made: they said something new."""
        self.learned: deque[tuple[Runs, bytes]] = deque()
        """The runs of all steps, the oldest first."""
        self._steps: OrderedDict[tuple[Step, Told], Step] = OrderedDict()
        real = self._begun()
        self.root = Step(None, b"", real.data_to_send(), (), real)
        """Where every connection begins, with our own preface as the answer."""

    def __len__(self) -> int:
        return len(self._steps)

    def _begun(self) -> Http2Connection:
        real = http2.new_connection(self.limits, client=False)
        real.begin(self.limits)
        return real

    def find(self, step: Step, told: Told) -> Step | None:
        """Where `told` leads from a state, if that is remembered."""
        found = self._steps.get((step, told))
        if found is not None:
            found.used = True
        return found

    def remember(
        self, step: Step, told: Told, out: bytes, events: list[Event], real: Http2Connection
    ) -> Step | None:
        """Where `told` led `real`; None when it is too much to be remembered."""
        found = self.find(step, told)
        if found is not None:
            return found
        if step.depth >= DEPTH or len(out) > LONGEST or not _is_small(told):
            return None
        for event in events:
            if isinstance(event, RequestReceived) and not _are_few(event.headers):
                return None
        found = self._steps[step, told] = Step(step, told, out, tuple(map(_read, events)), real)
        if len(self._steps) > STEPS:
            self._forget()
        return found

    def _forget(self) -> None:
        steps = self._steps
        key, step = steps.popitem(last=False)
        while step.used:
            step.used = False
            steps[key] = step
            key, step = steps.popitem(last=False)
        before, _ = key
        if before.response is step:
            before.response = None  # they know each other

    def make(self, step: Step) -> Http2Connection:
        """A connection of h2's in the state `step`, whose answers so far have been given."""
        self.made += 1
        path = []
        at: Step | None = step
        while at is not None and at.before is not None:
            path.append(at.told)
            at = at.before
        real = self._begun()
        for told in reversed(path):
            tell(real, told)
        real.data_to_send()
        return real


def _read(event: Event) -> Event | RequestRead:
    if not isinstance(event, RequestReceived):
        return event
    return judge_request(event.stream_id, event.headers, ended=event.stream_ended is not None)


def tell(real: Http2Connection, told: Told) -> list[Event]:
    """Let h2 hear it; raises what h2 raises."""
    if isinstance(told, bytes):
        return real.receive_data(told)
    name, *arguments = told
    getattr(real, name)(*arguments)
    return []


def _is_small(told: Told) -> bool:
    if isinstance(told, bytes) or told[0] != "send_headers":
        return True  # the connection has looked; other calls carry numbers
    return _are_few(told[2], LONGEST)


def _are_few(fields: Iterable[tuple[bytes, bytes]], most: int = DECODED) -> bool:
    # 32 for each field, as HTTP/2 counts them too (RFC 9113 section 6.5.2).
    return sum(len(name) + len(value) + 32 for name, value in fields) <= most
