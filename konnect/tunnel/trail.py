"""What was sent last on a link to a stock peer, in order: whose bytes may it be waiting with?

A stock half hands packets on one after the other, and waits with the first one that its reader does
not take, without saying so. But for what it has read it gives flow-control window back, and what it
has read and not handed on is in a queue of some packets behind the one that it waits with.
"""

from __future__ import annotations

from collections import deque

from konnect.wire.framing import PREFIX_SIZE

LENGTH = 2048
"""Packets that are remembered: of full size some 32 MiB, more than is ever on the way."""

LITTLE = 8192
"""Bytes in all these packets that would hardly fill the buffers in front of a reader."""


class Trail:
    """The packets of one link. A tunnel is its connectID, 0 for packets that are of none."""

    __slots__ = ("_packets", "total")

    def __init__(self) -> None:
        self.total = 0
        """Bytes of window that all packets took, with their prefixes."""
        self._packets: deque[tuple[int, int]] = deque(maxlen=LENGTH)

    def add(self, connect_id: int, size: int) -> None:
        """A packet of `size` bytes was sent, or stands in the queue."""
        size += PREFIX_SIZE
        self.total += size
        self._packets.append((connect_id, size))

    def suspects(self, unread: int, queue: int) -> list[int]:
        """
        All tunnels, the likeliest first: those that had much to be handed on before the others, and
        then in the order of their packets, from the first on that may not have been handed on.

        :param unread: the last bytes, which the peer is not known to have read.
        :param queue: how many packets before those it has read and not handed on.
        """
        packets = list(self._packets)
        first = len(packets)
        while first and unread > 0:
            first -= 1
            unread -= packets[first][1]
        first = max(0, first - queue)
        sizes: dict[int, int] = {}
        for connect_id, size in packets[first:] + packets[:first][::-1]:
            sizes[connect_id] = sizes.get(connect_id, 0) + size
        return sorted((one for one in sizes if one), key=lambda one: sizes[one] < LITTLE)
