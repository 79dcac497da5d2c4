"""Tests of konnect_kubernetes.allowance."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect_kubernetes.allowance import LONGEST_HOLD, Allowance


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

    def test_held(self) -> None:
        """In a pause there is no turn, whatever the rate; after it the rate holds again. A shorter
        pause does not end a longer one, and one without an end is none."""
        for rate in 2.0, -1.0:
            allowance = Allowance(self.clock, rate, 2)
            allowance.hold(3.0)
            turns = [allowance.turn() for _ in range(3)]
            allowance.hold(1.0)
            self.clock.advance(2.9)
            self.assertFalse(any(turn.called for turn in turns))
            self.clock.advance(0.2)
            self.assertEqual([turn.called for turn in turns], [True, True, rate < 0])
            self.clock.advance(0.6)
            self.assertTrue(turns[2].called)
            allowance.hold(1e9)
            last = allowance.turn()
            self.clock.advance(LONGEST_HOLD + 0.1)
            self.assertTrue(last.called)

    def test_held_later(self) -> None:
        """A pause holds up those who wait already."""
        allowance = Allowance(self.clock, 1.0, 1)
        allowance.turn()
        waiting = allowance.turn()
        self.clock.advance(0.9)
        allowance.hold(5.0)
        self.clock.advance(4.9)
        self.assertFalse(waiting.called)
        self.clock.advance(0.2)
        self.assertTrue(waiting.called)

    def test_lifted(self) -> None:
        """When the program stops nobody is held up any more, by no later pause either."""
        allowance = Allowance(self.clock, 1.0, 1)
        allowance.hold(5.0)
        turns = [allowance.turn() for _ in range(3)]
        allowance.lift()
        allowance.hold(5.0)
        self.assertTrue(all(turn.called for turn in (*turns, allowance.turn())))

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
