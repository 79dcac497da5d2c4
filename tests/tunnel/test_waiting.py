"""Tests of konnect.tunnel.waiting: what waits, by place, and how often it is looked for."""

from __future__ import annotations

from unittest import TestCase

from konnect.tunnel.ledger import Ledger
from konnect.tunnel.waiting import (
    BACKLOGS,
    MESSAGES,
    PACE,
    PIECE,
    PLACES,
    STREAMS,
    TRANSPORTS,
    Waiting,
)


class FakeHolder:
    """Holds as many bytes as it is told to, and counts who asks."""

    def __init__(self, place: str, size: int) -> None:
        self.place = place
        self.size = size
        self.asked = 0

    def count_waiting(self, waiting: dict[str, int]) -> None:
        self.asked += 1
        waiting[self.place] += self.size


class WaitingTests(TestCase):
    """All places of a process."""

    def setUp(self) -> None:
        self.now = 5.0
        self.ledger = Ledger(lambda: self.now)
        self.holders = [FakeHolder(STREAMS, 3), FakeHolder(MESSAGES, 20), FakeHolder(STREAMS, 4)]
        self.waiting = Waiting(self.ledger, lambda: self.holders)

    def test_by_place(self) -> None:
        """Every place is there; backlogs are the ledger's and what holders kept early."""
        self.ledger.buffered = 100
        self.holders.append(FakeHolder(BACKLOGS, 7))
        self.assertEqual(list(self.waiting.look()), [])
        self.assertEqual(
            self.waiting.places, {BACKLOGS: 107, STREAMS: 7, MESSAGES: 20, TRANSPORTS: 0}
        )
        self.assertEqual(set(self.waiting.places), set(PLACES))

    def test_in_pieces(self) -> None:
        """A look stops behind each piece, and counts nothing before it is done; of few it is
        done at once."""
        self.holders = [FakeHolder(TRANSPORTS, 1) for _ in range(2 * PIECE + 1)]
        asked = []
        for _ in self.waiting.look():
            asked.append(sum(holder.asked for holder in self.holders))
            self.assertEqual(self.waiting.places, dict.fromkeys(PLACES, 0))
        self.assertEqual(asked, [PIECE, 2 * PIECE])
        self.assertEqual(self.waiting.places[TRANSPORTS], 2 * PIECE + 1)
        self.holders.clear()
        self.assertEqual(list(self.waiting.look()), [])
        self.assertEqual(self.waiting.places[TRANSPORTS], 0)

    def test_total(self) -> None:
        """Backlogs count at once, the rest is looked for once a second."""
        self.assertEqual(self.waiting.total(), 27)
        self.holders[0].size = 1003
        self.ledger.buffered = 100
        self.assertEqual(self.waiting.total(), 127)
        self.now += 1.0
        self.assertEqual(self.waiting.total(), 1127)
        self.assertEqual(self.holders[0].asked, 2)

    def test_many(self) -> None:
        """With many connections no call looks at more than a piece, a thousand in a second."""
        self.holders = [FakeHolder(TRANSPORTS, 1) for _ in range(3 * PIECE)]
        for looked_at in (1, 2, 3):
            self.assertEqual(self.waiting.total(), looked_at * PIECE)
            self.assertEqual(self.waiting.total(), looked_at * PIECE)
            self.assertEqual(sum(holder.asked for holder in self.holders), looked_at * PIECE)
            self.now += PIECE / PACE
        self.assertEqual({holder.asked for holder in self.holders}, {1})

    def test_many_change(self) -> None:
        """What grows is known when it is seen, what shrinks when all have been looked at."""
        self.holders = [FakeHolder(TRANSPORTS, 1) for _ in range(2 * PIECE)]
        self._look_at_all()
        self.holders[0].size = 10_000
        self.assertEqual(self.waiting.total(), PIECE - 1 + 10_000)
        self.now += 1.0
        self.assertEqual(self.waiting.total(), 2 * PIECE - 1 + 10_000)
        self.now += 1.0
        self.holders[0].size = 1
        self.assertEqual(self.waiting.total(), 2 * PIECE - 1 + 10_000)
        self.now += 1.0
        self.assertEqual(self.waiting.total(), 2 * PIECE)

    def test_fewer(self) -> None:
        """Connections that end while they are looked at do not hold up the next look."""
        self.holders = [FakeHolder(TRANSPORTS, 1) for _ in range(3 * PIECE)]
        self.waiting.total()
        self.now += 1.0
        del self.holders[10:]
        self.waiting.total()
        self.now += 1.0
        self.assertEqual(self.waiting.total(), 10)

    def _look_at_all(self) -> None:
        for _ in range(0, len(self.holders), PIECE):
            self.waiting.total()
            self.now += 1.0
