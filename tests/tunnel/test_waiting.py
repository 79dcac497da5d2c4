"""Tests of konnect.tunnel.waiting: what waits, by place, and how often it is looked for."""

from __future__ import annotations

from unittest import TestCase

from konnect.tunnel.ledger import Ledger
from konnect.tunnel.waiting import BACKLOGS, MESSAGES, PLACES, STREAMS, TRANSPORTS, Waiting


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
        self.assertEqual(
            self.waiting.by_place(), {BACKLOGS: 107, STREAMS: 7, MESSAGES: 20, TRANSPORTS: 0}
        )
        self.assertEqual(set(self.waiting.by_place()), set(PLACES))

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
        """With many connections the look is as much rarer."""
        self.holders = [FakeHolder(TRANSPORTS, 1) for _ in range(3000)]
        self.assertEqual(self.waiting.total(), 3000)
        self.now += 2.9
        self.waiting.total()
        self.assertEqual(self.holders[0].asked, 1)
        self.now += 0.1
        self.waiting.total()
        self.assertEqual(self.holders[0].asked, 2)
