"""The last bytes of streams that have ended here wait for their peer, but not for ever.

A peer that opens no window would otherwise make us keep the end of one answer after another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

UNREAD = 600.0
"""Seconds without progress after which the rest of an ended stream is dropped. Long, since a client
that reads nothing for minutes may yet want it all; what waits is small."""

MANY = 256
"""Streams that are watched before it is looked for those that are gone."""


class UnreadEnds:
    """
    Those of one connection.

    :param queued: how many bytes of a stream wait; 0 when it is gone.
    :param drop: forgets what waits of a stream.
    """

    __slots__ = ("_calls", "_clock", "_drop", "_most", "_queued")

    def __init__(
        self, clock: IReactorTime, queued: Callable[[int], int], drop: Callable[[int], None]
    ) -> None:
        self._clock = clock
        self._queued = queued
        self._drop = drop
        self._calls: dict[int, Any] = {}
        self._most = MANY

    def watch(self, stream_id: int) -> None:
        """This stream has ended here; something of it may wait."""
        left = self._queued(stream_id)
        if left:
            if len(self._calls) >= self._most:
                self._forget_gone()
            self._calls[stream_id] = self._clock.callLater(UNREAD, self._look, stream_id, left)

    def _forget_gone(self) -> None:
        """Nobody says when a stream is gone, and in the time of one limit a peer could have a
        million come and go. As many as are live may be watched twice over."""
        for stream_id in [stream_id for stream_id in self._calls if not self._queued(stream_id)]:
            self._calls.pop(stream_id).cancel()
        self._most = max(MANY, 2 * len(self._calls))

    def stop(self) -> None:
        """The connection is gone; no delayed call is left."""
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()

    def _look(self, stream_id: int, before: int) -> None:
        del self._calls[stream_id]
        if self._queued(stream_id) < before:
            self.watch(stream_id)
        else:
            self._drop(stream_id)
