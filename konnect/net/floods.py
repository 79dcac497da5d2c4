"""Tells when a peer makes work without payload: PING, SETTINGS, RST, empty frames, tiny windows.

Each such frame costs us more than the peer, and its answers wait in memory while the peer does not
read. So they may come at `rate` a second on average over a batch, and the answers that wait
may take `BACKLOG` bytes; a connection that goes beyond either is to be cut. A well-behaved peer is
far from both: a client with 3,000 tunnels a second on one connection makes some 9,000 such frames.

The clock is read once a batch, not per frame.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

RATE = 20_000
"""Default frames without payload that a peer may send in a second."""

BACKLOG = 1024 * 1024
"""Bytes of answers that may wait for a peer that does not read."""


class FloodGauge:
    """One connection's gauge; `mark` is the count of frames at which `flooded` wants to be
    asked."""

    __slots__ = ("_batch", "_clock", "_rate", "_since", "mark")

    def __init__(self, clock: IReactorTime, rate: int = RATE) -> None:
        self._clock = clock
        self._rate = rate
        self._batch = max(rate // 4, 1)
        self._since = clock.seconds()
        self.mark = 2**63 if rate <= 0 else self._batch

    def flooded(self, count: int) -> bool:
        """`count` frames, at least `mark`, have come in all: was the last batch too fast?"""
        now = self._clock.seconds()
        elapsed = max(now - self._since, 0.0)
        fast = count - (self.mark - self._batch) > self._batch / 2 + elapsed * self._rate
        self._since = now
        self.mark = count + self._batch
        return fast
