"""Bytes that wait somewhere in the process, by where: walked through when somebody asks.

Backlogs are counted as they change, since every dial looks at them (`Ledger.buffered`). All other
places are looked at from the connections, so that the data path counts nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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


PIECE = 250
"""Connections that one call looks at, at most: two milliseconds."""

PACE = 1000
"""Connections that are looked at in a second, where there are more than `PIECE`."""


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
        self.places: Mapping[str, int] = dict.fromkeys(PLACES, 0)
        """Bytes by place, as the last `look` found them."""
        self._seen = 0
        self._next = 0.0
        # The look that is on its way: how many holders it has seen, and what they held.
        self._looked_at = 0
        self._found = 0

    def look(self) -> Iterator[None]:
        """
        Find what there is in all places: behind it `places` is new.

        It yields behind each `PIECE` of the connections, so that others may have their turn: one of
        a CONNECT client takes some 3 us, one for gRPC 8. Who comes meanwhile is missed.
        """
        waiting = dict.fromkeys(PLACES, 0)
        holders = list(self._holders())
        for begin in range(0, len(holders), PIECE):
            if begin:
                yield
            for holder in holders[begin : begin + PIECE]:
                holder.count_waiting(waiting)
        waiting[BACKLOGS] += self._ledger.buffered
        self.places = waiting

    def total(self) -> int:
        """
        Bytes in all places. Backlogs as they are now; the others as they were a second ago.

        With more than `PIECE` connections the look is spread over the calls, a thousand of them in
        a second at most: neither a storm of dials nor a single one is to hold the loop up for what
        ten thousand connections take. Who comes and goes meanwhile may be missed or count twice.
        """
        now = self._ledger.now()
        if now >= self._next:
            self._look(now)
        return self._ledger.buffered + max(self._seen, self._found)

    def _look(self, now: float) -> None:
        holders = list(self._holders())
        waiting = dict.fromkeys(PLACES, 0)
        for holder in holders[self._looked_at : self._looked_at + PIECE]:
            holder.count_waiting(waiting)
        self._found += sum(waiting.values())
        self._looked_at += PIECE
        if self._looked_at >= len(holders):
            self._seen, self._found, self._looked_at = self._found, 0, 0
        self._next = now + (1.0 if len(holders) <= PIECE else PIECE / PACE)
