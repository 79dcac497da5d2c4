"""A connection whose h2 is a place in the memo, as long as others have said the same before it.

To `GrpcConnection` it is h2's connection, byte for byte. It is at a place only between two frames:
what comes in pieces, or is long, or is half a header block, sends it to an h2 of its own for good.
Without a memo it has that from the beginning. PING is answered here, since it changes no state of
h2 and may carry any bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from h2.events import Event, PingAckReceived, PingReceived

from konnect.wire import frames
from konnect.wire.headers import RESPONSE, HeaderBlock, RequestRead
from konnect.wire.http2 import Http2Connection, Limits, Role, new_connection
from konnect.wire.memo import LONGEST, OpeningMemo, Step, Told, tell
from konnect.wire.runs import BEGINNINGS, Run, learn
from konnect.wire.windows import LARGEST

_PING_SIZE = frames.HEAD_SIZE + 8
_PING_LENGTH = b"\0\0\x08"
_ASKED = b"\0\0\0\0\0"  # flags and stream of a PING
_ANSWERED = b"\x01\0\0\0\0"

_WITH_BLOCK = frozenset({frames.HEADERS, frames.PUSH_PROMISE, frames.CONTINUATION})


class RememberedHttp2:
    """What `GrpcConnection` uses of h2's connection, answered from the memo as far as it goes."""

    # The last read, and where it began, if a run may be learned from it.
    _read: tuple[Step, bytes] | None = None

    def __init__(self, limits: Limits, memo: OpeningMemo | None, role: Role) -> None:
        """`limits`: the memo's, if there is one."""
        self._memo = memo
        # Where the connection is; None: at a place that is not remembered, its own h2 knows.
        self._step: Step | None
        self._real: Http2Connection | None
        self.state: Step | Http2Connection
        """What knows the peer's settings, and the streams so far."""
        if memo is not None:
            memo.begun += 1
            self._real = None
            self._step = self.state = memo.root
        else:
            self._step = None
            self._real = self.state = new_connection(limits, client=role.client)
        self.out: list[bytes | memoryview] = []
        """What goes out next: it is put here at once, so that it keeps its place among the frames
        of others."""

    # -- as h2's connection: what it is told

    def receive_data(self, data: bytes | memoryview) -> Sequence[Event | RequestRead]:
        """See H2Connection."""
        if self._step is None:
            return self._receive_real(data)
        told = bytes(data)
        if not _is_whole(told):
            return self._leave(told)
        if len(told) == _PING_SIZE and told[3] == frames.PING:
            if told[4:9] == _ASKED:
                self.out.append(_ping(_ANSWERED, told[9:]))
                return (PingReceived(ping_data=told[9:]),)
            if told[4:9] == _ANSWERED:
                return (PingAckReceived(ping_data=told[9:]),)
        return self._tell(told)

    def begin(self, limits: Limits) -> None:
        """See Http2Connection."""
        if self._memo is not None:
            self.out.append(self._memo.root.out)
        else:
            self._own.begin(limits)
            self._collect()

    def send_headers(self, stream_id: int, headers: HeaderBlock, end_stream: bool = False) -> None:
        """See H2Connection."""
        self._tell(("send_headers", stream_id, tuple(headers), end_stream))

    def respond(self, stream_id: int) -> None:
        """`send_headers` with the usual beginning of a response."""
        step = self._step
        if step is None or stream_id != step.highest_inbound_stream_id:
            self.send_headers(stream_id, RESPONSE)
            return
        found = step.response
        if found is None:
            self.send_headers(stream_id, RESPONSE)
            step.response = self._step
        else:
            found.used = True
            self._step = self.state = found
            self.out.append(found.out)

    def end_stream(self, stream_id: int) -> None:
        """See H2Connection."""
        self._tell(("end_stream", stream_id))

    def reset_stream(self, stream_id: int, error_code: int = 0) -> None:
        """See H2Connection."""
        self._tell(("reset_stream", stream_id, int(error_code)))

    def ping(self, opaque_data: bytes) -> None:
        """See H2Connection."""
        if self._step is None:
            self._tell(("ping", opaque_data))
        elif len(opaque_data) != 8:
            raise ValueError(f"a PING carries 8 bytes, not {len(opaque_data)}")
        else:
            self.out.append(_ping(_ASKED, opaque_data))

    def get_next_available_stream_id(self) -> int:
        """See H2Connection; servers open no streams."""
        return self._own.get_next_available_stream_id()

    def take_run(self, data: bytes, window: int) -> Run | None:
        """
        The run at a read's beginning, if one is known there: this goes on as if h2 had been told of
        it. For what is left, call `learn_run` when it has been read.

        Only between two frames.

        :param window: the connection's for sending, which a run may not make too wide.
        """
        step = self._step
        if step is None:
            return None
        runs = step.runs
        if runs is not None:
            known = runs.known
            for size in runs.sizes:
                run = known.get(data[:size])
                if run is not None and (not run.widens or run.widens <= LARGEST - window):
                    after = self._step = self.state = run.after
                    run.used = after.used = True
                    if run.out:
                        self.out.append(run.out)
                    return run
        if len(data) > 3 and data[3] in BEGINNINGS:
            self._read = step, data
        return None

    @property
    def opened(self) -> bool:
        """Whether the peer's preface and SETTINGS have been read, by the memo at least."""
        return self._memo is not None and self.state is not self._memo.root

    def learn_run(self) -> None:
        """All that was read has been acted upon, and broke no rule."""
        if self._read is not None and self._memo is not None:
            learn(self._memo, *self._read)
            self._read = None

    def refusal(self) -> bytes:
        """What h2 has made of an error that it found itself."""
        return self._real.data_to_send() if self._real is not None else b""

    # -- remembering

    def _tell(self, told: Told) -> Sequence[Event | RequestRead]:
        step, real, memo = self._step, self._real, self._memo
        if step is None or memo is None:
            events = tell(self._own, told)
            self._collect()
            return events
        if real is None:
            found = memo.find(step, told)
            if found is not None:
                self._step = self.state = found
                if found.out:
                    self.out.append(found.out)
                return found.events
            real = self._real = memo.make(step)
        # Nowhere, should h2 refuse it.
        self._step, self.state = None, real
        events = tell(real, told)
        out = real.data_to_send()
        if out:
            self.out.append(out)
        found = self._step = memo.remember(step, told, out, events, real)
        if found is not None:
            self.state = found
        return events

    def _leave(self, data: bytes) -> Sequence[Event]:
        """Go on with an h2 of our own."""
        step, self._step = self._step, None
        if self._real is None:
            assert step is not None and self._memo is not None
            self._real = self._memo.make(step)
        self.state = self._real
        return self._receive_real(data)

    @property
    def _own(self) -> Http2Connection:
        assert self._real is not None
        return self._real

    def _receive_real(self, data: bytes | memoryview) -> Sequence[Event]:
        events = self._own.receive_data(data)
        self._collect()
        return events

    def _collect(self) -> None:
        out = self._own.data_to_send()
        if out:
            self.out.append(out)


def _ping(flags_and_stream: bytes, payload: bytes) -> bytes:
    return b"".join((_PING_LENGTH, b"\x06", flags_and_stream, payload))


def _is_whole(data: bytes) -> bool:
    """Whether this is the preface or one frame from its head to its end, and no part of a header
    block that goes on: after it the connection is between two frames."""
    size = len(data)
    if size > LONGEST:
        return False
    if data == frames.PREFACE:
        return True
    if size < frames.HEAD_SIZE or size != frames.HEAD_SIZE + int.from_bytes(data[:3]):
        return False
    return data[3] not in _WITH_BLOCK or bool(data[4] & frames.END_HEADERS)
