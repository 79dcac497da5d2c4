"""Tests of konnect.proxy.hold."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.proxy.hold import HOLD, Hold


class HoldTests(SynchronousTestCase):
    """What is kept, for how long, in which order."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.hold = Hold(self.clock)
        self.ran: list[str] = []

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def keep(self, *names: str) -> None:
        """Keep actions that note their names."""
        for name in names:
            self.hold.after(lambda name=name: self.ran.append(name))  # type: ignore[misc]

    def test_time(self) -> None:
        """What is kept runs in order when the time is over, which the first of it began."""
        self.clock.advance(5)
        self.keep("a")
        self.assertFalse(self.hold.empty)
        self.clock.advance(HOLD / 2)
        self.keep("b")
        self.assertEqual(self.ran, [])
        self.clock.advance(HOLD / 2)
        self.assertEqual(self.ran, ["a", "b"])
        self.assertTrue(self.hold.over)
        self.assertTrue(self.hold.empty)

    def test_released(self) -> None:
        """A client that speaks gets what is kept at once, and nothing is kept any more."""
        self.keep("a")
        self.hold.release()
        self.assertEqual(self.ran, ["a"])
        self.keep("b")
        self.assertEqual(self.ran, ["a", "b"])

    def test_released_with_nothing_kept(self) -> None:
        """A client that speaks first ends the hold without a timer ever made."""
        self.hold.release()
        self.hold.release()
        self.assertTrue(self.hold.over)

    def test_dropped(self) -> None:
        """What is kept for a client that is gone never runs."""
        self.keep("a")
        self.hold.drop()
        self.clock.advance(HOLD)
        self.assertEqual(self.ran, [])

    def test_the_last_knows(self) -> None:
        """While the last of what was kept runs, nothing is waiting any more."""
        seen: list[bool] = []
        self.hold.after(lambda: seen.append(self.hold.empty))
        self.hold.after(lambda: seen.append(self.hold.empty))
        self.hold.release()
        self.assertEqual(seen, [False, True])

    def test_dropped_while_it_runs(self) -> None:
        """An action that ends everything keeps the rest from running."""
        self.hold.after(self.hold.drop)
        self.keep("late")
        self.hold.release()
        self.assertEqual(self.ran, [])
