"""A connection whose h2 is a place in the memo, as long as others have said the same before it.

To `GrpcConnection` it is h2's connection, byte for byte. It is at a place only between two frames:
what comes in pieces, or is long, or is half a header block, sends it to an h2 of its own for good.
PING is answered here, since it changes no state of h2 and may carry any bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from h2.events import Event, PingAckReceived, PingReceived

from konnect.wire import frames
from konnect.wire.arrivals import Arrivals
from konnect.wire.headers import HeaderBlock, RequestRead
from konnect.wire.http2 import Http2Connection, Limits
from konnect.wire.memo import LONGEST, OpeningMemo, Step, Told, tell
from konnect.wire.runs import learn
from konnect.wire.splitter import FrameSplitter

_PING_SIZE = frames.HEAD_SIZE + 8
_PING_LENGTH = b"\0\0\x08"
_ASKED = b"\0\0\0\0\0"  # flags and stream of a PING
_ANSWERED = b"\x01\0\0\0\0"

_WITH_BLOCK = frozenset({frames.HEADERS, frames.PUSH_PROMISE, frames.CONTINUATION})


class RememberedHttp2:
    """What `GrpcConnection` uses of h2's connection, answered from the memo as far as it goes."""

    __slots__ = ("_memo", "_out", "_read", "_real", "_step")

    def __init__(self, memo: OpeningMemo) -> None:
        self._memo = memo
        memo.begun += 1
        # Where the connection is; None: at a place that is not remembered, its own h2 knows.
        self._step: Step | None = memo.root
        self._real: Http2Connection | None = None
        self._out = b""
        # The last read, and where it began, if a run may be learned from it.
        self._read: tuple[Step, bytes] | None = None

    # -- as h2's connection: what it is told

    def receive_data(self, data: bytes | memoryview) -> Sequence[Event | RequestRead]:
        """See H2Connection."""
        step = self._step
        if step is None:
            assert self._real is not None
            return self._real.receive_data(data)
        told = bytes(data)
        if not _is_whole(told):
            return self._leave(told)
        if len(told) == _PING_SIZE and told[3] == frames.PING:
            if told[4:9] == _ASKED:
                self._out += _ping(_ANSWERED, told[9:])
                return (PingReceived(ping_data=told[9:]),)
            if told[4:9] == _ANSWERED:
                return (PingAckReceived(ping_data=told[9:]),)
        return self._tell(told)

    def begin(self, limits: Limits) -> None:
        """See Http2Connection; the memo was made with the same limits."""
        self._out += self._memo.root.out

    def send_headers(self, stream_id: int, headers: HeaderBlock, end_stream: bool = False) -> None:
        """See H2Connection."""
        self._tell(("send_headers", stream_id, tuple(headers), end_stream))

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
            self._out += _ping(_ASKED, opaque_data)

    def get_next_available_stream_id(self) -> int:
        """See H2Connection; servers open no streams."""
        raise NotImplementedError

    def take_run(self, data: bytes, splitter: FrameSplitter, arrivals: Arrivals) -> bytes:
        """
        What is left of a read when the run at its beginning, if one is known there, has been acted
        upon. For what is left, call `learn_run` when it has been read.

        Only for what may begin with a run (`konnect.wire.runs.BEGINNINGS`).
        """
        self._read = None
        step = self._step
        if step is None or not splitter.between:
            return data
        runs = step.runs
        if runs is not None:
            for size in runs.sizes:
                run = runs.find(data[:size])
                if run is not None and arrivals.fits(run):
                    run.used = True
                    self._step = run.after
                    self._out += run.out
                    splitter.skip_opening()
                    arrivals.run(run)
                    return data[size:]
        self._read = step, data
        return data

    def learn_run(self) -> None:
        """All that was read has been acted upon, and broke no rule."""
        if self._read is not None:
            learn(self._memo, *self._read)
            self._read = None

    # -- as h2's connection: what it says

    def data_to_send(self) -> bytes:
        """See H2Connection."""
        out = self._out
        if out:
            self._out = b""
        if self._real is not None:
            out += self._real.data_to_send()
        return out

    @property
    def peer_stream_window(self) -> int:
        """See Http2Connection."""
        return self._state.peer_stream_window

    @property
    def max_outbound_frame_size(self) -> int:
        """See H2Connection."""
        return self._state.max_outbound_frame_size

    @property
    def highest_inbound_stream_id(self) -> int:
        """See H2Connection."""
        return self._state.highest_inbound_stream_id

    @property
    def _state(self) -> Step | Http2Connection:
        state = self._step or self._real
        assert state is not None
        return state

    # -- remembering

    def _tell(self, told: Told) -> Sequence[Event | RequestRead]:
        step, real = self._step, self._real
        if step is None:
            assert real is not None
            return tell(real, told)
        if real is None:
            found = self._memo.find(step, told)
            if found is not None:
                self._step = found
                if found.out:
                    self._out += found.out
                return found.events
            real = self._real = self._memo.make(step)
        # Nowhere, should h2 refuse it.
        self._step = None
        events = tell(real, told)
        out = real.data_to_send()
        self._out += out
        self._step = self._memo.remember(step, told, out, events, real)
        return events

    def _leave(self, data: bytes) -> Sequence[Event]:
        """Go on with an h2 of our own."""
        step, self._step = self._step, None
        if self._real is None:
            assert step is not None
            self._real = self._memo.make(step)
        return self._real.receive_data(data)


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
