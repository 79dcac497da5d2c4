"""Tests of konnect_kubernetes.allowance."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect_kubernetes.allowance import Allowance


class AllowanceTests(SynchronousTestCase):
    """Turns on a clock of the test's."""

    def setUp(self) -> None:
        self.clock = Clock()

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_burst_and_rate(self) -> None:
        """The burst is given at once, then one turn each interval; rest is saved up."""
        allowance = Allowance(self.clock, 2.0, 3)
        turns = [allowance.turn() for _ in range(6)]
        self.assertEqual([turn.called for turn in turns], [True] * 3 + [False] * 3)
        self.clock.advance(0.6)
        self.assertEqual([turn.called for turn in turns], [True] * 4 + [False] * 2)
        self.clock.advance(1.0)
        self.assertTrue(all(turn.called for turn in turns))
        self.clock.advance(100)
        turns = [allowance.turn() for _ in range(4)]
        self.assertEqual([turn.called for turn in turns], [True] * 3 + [False])
        self.clock.advance(1)
        self.assertTrue(turns[3].called)

    def test_defaults(self) -> None:
        """Nothing said means what client-go does: 5 a second, 10 at once."""
        allowance = Allowance(self.clock, 0.0, 0)
        turns = [allowance.turn() for _ in range(11)]
        self.assertEqual(sum(turn.called for turn in turns), 10)
        self.clock.advance(0.21)
        self.assertTrue(turns[10].called)

    def test_unlimited(self) -> None:
        """A negative rate holds nobody up."""
        allowance = Allowance(self.clock, -1.0, 1)
        self.assertTrue(all(allowance.turn().called for _ in range(100)))

    def test_given_up(self) -> None:
        """Who gives up costs the others nothing, and the last one leaves no timer."""
        allowance = Allowance(self.clock, 1.0, 1)
        allowance.turn()
        second, third = allowance.turn(), allowance.turn()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.clock.advance(1.1)
        self.assertTrue(third.called)
        fourth = allowance.turn()
        fourth.cancel()
        self.failureResultOf(fourth, CancelledError)
