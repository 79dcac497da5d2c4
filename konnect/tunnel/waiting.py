"""Bytes that wait somewhere in the process, by where: walked through when somebody asks.

Backlogs are counted as they change, since every dial looks at them (`Ledger.buffered`). All other
places are looked at from the connections, so that the data path counts nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from konnect.tunnel.ledger import Ledger

BACKLOGS = "backlogs"
"""Of tunnels: what came and cannot be passed on."""

STREAMS = "streams"
"""Queues of gRPC streams: what their windows, or the transport, do not take yet."""

MESSAGES = "messages"
"""Incomplete messages and requests that are being received."""

TRANSPORTS = "transports"
"""What was written to a socket's transport and the kernel does not take yet."""

PLACES = (BACKLOGS, STREAMS, MESSAGES, TRANSPORTS)


class Holder(Protocol):
    """A connection, or a socket's end: something that may hold bytes."""

    def count_waiting(self, waiting: dict[str, int]) -> None:
        """Add what is held here to the counts, by place; not what backlogs hold."""


class Waiting:
    """
    All that waits in one process.

    :param holders: gives all connections and sockets there are now.
    """

    def __init__(self, ledger: Ledger, holders: Callable[[], Iterable[Holder]]) -> None:
        self._ledger = ledger
        self._holders = holders
        self._seen = 0
        self._next = 0.0

    def by_place(self) -> dict[str, int]:
        """Bytes by place; takes about a microsecond for each connection."""
        waiting = dict.fromkeys(PLACES, 0)
        for holder in self._holders():
            holder.count_waiting(waiting)
        waiting[BACKLOGS] += self._ledger.buffered
        return waiting

    def total(self) -> int:
        """
        Bytes in all places. Backlogs as they are now; the others as they were a second ago, or a
        second for every 1000 connections if there are more, so that a storm of dials stays cheap.
        """
        now = self._ledger.now()
        if now >= self._next:
            holders = list(self._holders())
            waiting = dict.fromkeys(PLACES, 0)
            for holder in holders:
                holder.count_waiting(waiting)
            self._seen = sum(waiting.values())
            self._next = now + max(1.0, len(holders) / 1000)
        return self._ledger.buffered + self._seen
