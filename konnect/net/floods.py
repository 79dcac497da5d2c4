"""What a listener puts up with: how fast, how long and how many, before it cuts a peer off.

Frames without payload (PING, SETTINGS, RST, empty frames, tiny windows) cost us more than the peer,
and their answers wait in memory while it does not read. So they may come at a rate, on average over
a batch, and the answers that wait may take `BACKLOG` bytes. A well-behaved peer is far from both: a
client with 3,000 tunnels a second on one connection makes some 9,000 such frames. Requests that are
taken back before they were answered cost the most (rapid reset, CVE-2023-44487), and get a rate of
their own.

Connections that ask for nothing cost a descriptor each: `Crowd`.

The clock is read once a batch, not per frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from konnect.wire.grpc import GrpcConnection
from konnect.wire.overhead import Overhead

NEVER = 2**63

BACKLOG = 1024 * 1024
"""Bytes of answers that may wait for a peer that does not read."""

Count = Callable[[str], None]
"""Counts a connection or stream that was cut, by reason."""


def _batch(rate: int) -> int:
    """How many frames without payload are looked at together; 0: they are not."""
    return max(rate // 4, 1) if rate > 0 else 0


@dataclass(frozen=True, slots=True)
class FloodLimits:
    """The limits of a proxy's listeners; each is a flag. 0: none."""

    control_rate: int = 20_000
    """Frames without payload that a peer may send in a second."""
    reset_rate: int = 1000
    """Requests that a peer may take back in a second before they were answered."""
    streams: int = 4096
    """Streams that a client may have on one connection."""
    idle: int = 1024
    """Connections of one listener that may be there and ask for nothing."""
    head: int = 65536
    """Bytes of a request's head: of CONNECT as sent, of HTTP/2 as decoded. Never 0."""
    head_timeout: float = 60.0
    """Seconds for a TLS handshake and the head of a CONNECT request."""
    preface_timeout: float = 20.0
    """Seconds for a TLS handshake and the preface of HTTP/2."""
    watch_from: int = field(init=False, default=0)
    """Frames without payload below which a connection needs no `FloodWatch`: nearly all of them."""

    def __post_init__(self) -> None:
        batches = [_batch(self.control_rate), self.reset_rate]
        least = min((size for size in batches if size > 0), default=NEVER)
        object.__setattr__(self, "watch_from", least // 2)


DEFAULT = FloodLimits()

FLOODED = "the peer sent too many frames without payload"


class FloodGauge:
    """One connection's gauge; `mark` is the count at which `flooded` wants to be asked.

    :param batch: how many are looked at together; half of them may come at once.
    :param count: how many had come when the gauge was made.
    """

    __slots__ = ("_batch", "_clock", "_rate", "_since", "mark")

    def __init__(
        self, clock: IReactorTime, rate: int, batch: int | None = None, count: int = 0
    ) -> None:
        self._clock = clock
        self._rate = rate
        self._batch = batch or _batch(rate)
        self._since = clock.seconds()
        self.mark = NEVER if rate <= 0 else count + self._batch

    def flooded(self, count: int) -> bool:
        """`count`, at least `mark`, have come in all: was the last batch too fast?"""
        now = self._clock.seconds()
        elapsed = max(now - self._since, 0.0)
        fast = count - (self.mark - self._batch) > self._batch / 2 + elapsed * self._rate
        self._since = now
        self.mark = count + self._batch
        return fast


class FloodWatch:
    """Looks at one HTTP/2 connection after each read, from a certain count of frames on."""

    __slots__ = ("_overhead", "_wasted")

    def __init__(
        self, clock: IReactorTime, limits: FloodLimits, so_far: Overhead | None = None
    ) -> None:
        count = wasted = 0
        if so_far is not None:
            # No more than was not worth a look: what one read has brought may be a flood by itself.
            count = min(so_far.count, limits.watch_from)
            wasted = min(so_far.wasted, limits.watch_from)
        self._overhead = FloodGauge(clock, limits.control_rate, count=count)
        self._wasted = FloodGauge(clock, limits.reset_rate, limits.reset_rate, wasted)

    def verdict(self, wire: GrpcConnection, blocked: bool) -> tuple[str, str] | None:
        """
        Why the connection is to be cut, in words and as a label; None as a rule.

        :param blocked: whether the peer takes nothing of what we send.
        """
        overhead = wire.overhead
        # First, since each of these was two frames without payload as well.
        if overhead.wasted >= self._wasted.mark and self._wasted.flooded(overhead.wasted):
            return "the peer took back too many requests", "rapid_reset"
        if overhead.count >= self._overhead.mark:
            fast, kind = self._overhead.flooded(overhead.count), overhead.take_commonest()
            if fast:
                return f"{FLOODED}, most of them {kind}", f"flood_{kind}"
        if blocked and wire.backlog() > BACKLOG:
            return "the peer does not read the answers that it asks for", "unread_answers"
        return None


class Crowded(Protocol):
    """A connection that can be in a `Crowd`."""

    def crowded_out(self) -> None:
        """Too many have come since, and this one has not asked for anything: end."""


class Crowd:
    """
    The connections of one listener that ask for nothing, the longest idle first.

    When there are more than `limit`, the first is told to go: who comes is served, and a thousand
    that stay silent keep out only each other.
    """

    __slots__ = ("_idle", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle: dict[Crowded, None] = {}

    def enter(self, connection: Crowded) -> None:
        """It asks for nothing now."""
        idle = self._idle
        idle[connection] = None
        if 0 < self._limit < len(idle):
            first = next(iter(idle))
            del idle[first]
            first.crowded_out()

    def leave(self, connection: Crowded) -> None:
        """It has asked for something, or is gone."""
        self._idle.pop(connection, None)
