"""A link's stream in memory, both sides of it: what is sent waits until the test carries it."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

from konnect.wire import data_packet
from tests.fakes import FakeStream

WINDOW = 100_000
"""Bytes that one side may have on its way or held by the other."""

BUFFER = 30_000
"""Bytes that may be queued before whoever sends is told to stop."""

PREFIX = 5


class PipeStream(FakeStream):
    """
    One side. Messages wait in `queue` until `carry`.

    :param obeys: whether the other side takes DIAL_CLS for what it is; stock agents do not.
    """

    other: PipeStream

    def __init__(self, chance: Random, *, obeys: bool) -> None:
        super().__init__()
        self.queue: deque[bytes] = deque()
        self.gone = False
        self._chance = chance
        self._obeys = obeys
        self.trip = chance.choice((0.0, 0.1))
        self._full = False
        self._unanswered = 0
        """Bytes that the other side was given and has not given back."""

    def send(self, payload: bytes) -> bool:
        super().send(payload)  # refuses what no peer may get
        (packet,) = self.take()
        if not self.gone and (self._obeys or packet[0] != "DIAL_CLS"):
            self.queue.append(payload)
        self._full = self._full or self.queued > BUFFER
        return not self._full and not self.gone

    @property
    def queued(self) -> int:
        return sum(map(len, self.queue))

    @property
    def outstanding(self) -> int:
        return self.queued + PREFIX * len(self.queue) + self._unanswered

    def acknowledge(self, cost: int) -> None:
        super().acknowledge(cost)
        self.other._unanswered -= cost
        assert self.other._unanswered >= 0, "more given back than was taken"

    def carry(self) -> bool:
        """Give the other side one message, if there is one and its window has room."""
        if self.gone or not self.queue:
            return False
        cost = len(self.queue[0]) + PREFIX
        if self._unanswered + cost > WINDOW:
            return False
        self._unanswered += cost
        self._give(self.queue.popleft())
        if self._full and self.queued <= BUFFER // 2 and self.listener is not None:
            self._full = False
            self.listener.writable()
        return True

    def _give(self, payload: bytes) -> None:
        plain = data_packet.read(payload)
        if plain is None or len(plain[1]) < 2 or self._chance.random() < 0.7:
            self.other.deliver(payload)
            return
        # In pieces, as a stream that is cut through gives them.
        connect_id, data = plain
        cut = self._chance.randrange(1, len(data))
        head = len(payload) + PREFIX - len(data)
        self.other.owed += len(payload) + PREFIX
        link: Any = self.other.listener
        for piece, cost in ((data[:cut], head + cut), (data[cut:], len(data) - cut)):
            back = link.data(connect_id, piece, cost)
            if back:
                self.other.acknowledge(back)


def pipe(chance: Random, *, stock: bool) -> tuple[PipeStream, PipeStream]:
    """The proxy's side of a link, and the agent's; `stock`: the agent ignores DIAL_CLS."""
    near, far = PipeStream(chance, obeys=not stock), PipeStream(chance, obeys=True)
    near.other, far.other = far, near
    return near, far
