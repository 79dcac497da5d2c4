"""What came of one tunnel in one read, given to its sink as one piece.

A gRPC client's message of 32 KiB comes in three frames, the last of a few bytes, and a stock
agent's packets hold 4 KiB. Each piece that is passed on becomes a packet, with its way through both
programs and its part of a TLS record. To copy together what one read holds costs a small part of
that: uploads over gRPC came to 1.5 to 1.6 times the throughput, at 0.65 of the CPU (measured).

Nothing waits longer than for the end of the read that it came in, and nothing else is told of the
stream before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from konnect.wire.inlet import PacketSink

LARGE = 32768
"""Bytes above which a piece is passed on as it is: the copy would be dearer."""

MOST = 256 * 1024 - 64
"""Bytes given as one: a read's, and with the heads of a packet full TLS records (`SCRATCH` of
`konnect.net.hub.reads`). Half of it took 1.06 times the CPU (measured)."""


class Gathering:
    """The waiting pieces of one stream."""

    __slots__ = ("_connect_id", "_cost", "_packets", "_pieces", "sink", "waiting")

    sink: PacketSink
    waiting: int
    """Bytes that wait. The subclass sets these two; while there are none, the rest is not looked
    at, and most streams never need it."""

    _connect_id: int
    _cost: int
    _packets: int
    _pieces: list[memoryview]

    def pass_on(self, connect_id: int, piece: memoryview, cost: int) -> int:
        """See `PacketSink.data`; now, or with what comes behind it."""
        size = len(piece)
        waiting = self.waiting
        back = 0
        if waiting and (connect_id != self._connect_id or size > LARGE or waiting + size > MOST):
            back = self.let_go()
            waiting = 0
        if waiting:
            self._pieces.append(piece)
            self._packets += cost != size
            self._cost += cost
            self.waiting = waiting + size
        elif size <= LARGE:
            self._connect_id = connect_id
            self._pieces = [piece]
            self._packets = cost != size
            self._cost = cost
            self.waiting = size
        else:
            back += self.sink.data(connect_id, piece, cost)
        return back

    def let_go(self) -> int:
        """Give the sink what waits; answers as the sink does."""
        pieces, packets = self._pieces, self._packets
        self.forget()
        if len(pieces) == 1:
            return self.sink.data(self._connect_id, pieces[0], self._cost)
        if packets > 1:
            self.sink.joined(packets - 1)
        return self.sink.data(self._connect_id, b"".join(pieces), self._cost)

    def forget(self) -> None:
        """Nobody wants what waits."""
        self._pieces = []
        self.waiting = 0
