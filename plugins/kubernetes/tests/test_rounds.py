"""Tests of konnect_kubernetes.rounds."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect_kubernetes.rounds import AFTER_A_BREAK, Rounds


class RoundsTests(SynchronousTestCase):
    """Rounds that end when the test says so."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.begun: list[Deferred[float]] = []
        self.rounds = Rounds(self.clock, self.once)

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def once(self) -> float:
        """One round."""
        self.begun.append(Deferred())
        return await self.begun[-1]

    def test_pauses(self) -> None:
        """Each round chooses the pause behind it, which can be cut short."""
        self.rounds.start()
        self.begun[0].callback(5.0)
        self.clock.advance(4.9)
        self.assertEqual(len(self.begun), 1)
        self.clock.advance(0.2)
        self.assertEqual(len(self.begun), 2)
        self.rounds.hasten()
        self.begun[1].callback(100.0)
        self.rounds.hasten()
        self.assertEqual(len(self.begun), 3)
        stopped = self.rounds.stop()
        self.begun[2].callback(1.0)
        self.successResultOf(stopped)

    def test_stopped_in_a_pause(self) -> None:
        """A stop does not wait for the end of a pause."""
        self.rounds.start()
        self.begun[0].callback(5.0)
        self.successResultOf(self.rounds.stop())
        self.successResultOf(self.rounds.stop())

    def test_stopped_in_a_round(self) -> None:
        """A stop waits for the round that is under way; there is no other."""
        self.rounds.start()
        stopped = self.rounds.stop()
        self.assertNoResult(stopped)
        self.begun[0].callback(0.0)
        self.successResultOf(stopped)
        self.assertEqual(len(self.begun), 1)

    def test_never_started(self) -> None:
        """What was never begun is stopped at once."""
        self.successResultOf(self.rounds.stop())

    def test_broken(self) -> None:
        """A mistake of ours is logged, and the rounds go on."""
        self.rounds.start()
        self.begun[0].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(AFTER_A_BREAK)
        self.assertEqual(len(self.begun), 2)
        self.begun[1].callback(1.0)
        self.successResultOf(self.rounds.stop())
