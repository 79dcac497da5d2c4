"""What a link has to know of a peer without credit: what it takes, and what it may wait with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from konnect.tunnel.blocked import BlockedWatch
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.message_stream import MessageStream
from konnect.tunnel.trail import Trail


class StockPeer:
    """
    The peer of one link; `data` or `control` is to be called for each message.

    :param parked: how many tunnels wait for room.
    :param later, seconds, told: see `BlockedWatch`.
    """

    __slots__ = ("_parked", "_stream", "_trail", "data", "watch")

    def __init__(
        self,
        stream: MessageStream,
        ledger: Ledger,
        later: Callable[[float, Callable[[], None]], Any],
        seconds: float,
        parked: Callable[[], int],
        told: Callable[[int], None],
    ) -> None:
        self._stream = stream
        self._parked = parked
        self._trail = Trail()
        self.data = self._trail.add
        """A DATA packet was sent, or queued: see there."""
        self.watch = BlockedWatch(ledger, later, seconds, self._waiting, self._taken, told)

    def control(self, size: int) -> None:
        """Any other packet was, of `size` bytes."""
        self._trail.add(0, size)
        if self._stream.queued:
            self.watch.parked()  # no tunnel is, for it, but a client may wait for the answer

    def _waiting(self) -> int:
        return self._parked() or int(self._stream.queued > 0)

    def _taken(self) -> int:
        return self._trail.total - self._stream.outstanding

    def suspects(self, queue: int) -> list[int]:
        """The connectIDs of those whose bytes it may be waiting with, the likeliest first.

        :param queue: how many packets it may have read and not handed on.
        """
        return self._trail.suspects(self._stream.outstanding, queue)
