"""Limits that are kept by whom they concern come when they are due, and leave no call behind."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.deadlines import Deadlines, deadlines_of
from konnect.net.timers import Timers


class DeadlinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.over: list[Any] = []
        self.deadlines: Deadlines[int] = Deadlines(self.clock, 5.0, self.over.append)

    def test_as_the_reactor(self) -> None:
        """Whatever is set, set anew and dropped when, it comes when a delayed call would come."""
        random = Random(20261128)
        expected: list[int] = []
        calls: dict[int, Any] = {}
        for _ in range(3000):
            owner = random.randrange(40)
            call = calls.pop(owner, None)
            if call is not None and call.active():
                call.cancel()
            if random.random() < 0.6:
                self.deadlines.set(owner)
                calls[owner] = self.clock.callLater(5.0, expected.append, owner)
            else:
                self.deadlines.drop(owner)
            self.clock.advance(random.choice((0, 0.125, 0.5)))
            self.assertEqual(sorted(self.over), sorted(expected))
        self.assertGreater(len(expected), 100)

    def test_one_delayed_call(self) -> None:
        """Ten thousand limits are one delayed call, and none when all are dropped."""
        for owner in range(10_000):
            self.deadlines.set(owner)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for owner in range(10_000):
            self.assertTrue(self.deadlines.drop(owner))
            self.assertFalse(self.deadlines.drop(owner))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_dropped_and_set_by_one_that_is_over(self) -> None:
        """What one that is over does to others that are due at once holds for them."""

        def due(owner: int) -> None:
            self.over.append(owner)
            if owner == 0:
                deadlines.drop(1)
                deadlines.set(2)

        deadlines: Deadlines[int] = Deadlines(self.clock, 5.0, due)
        for owner in range(4):
            deadlines.set(owner)
        self.clock.advance(5.0)
        self.assertEqual(self.over, [0, 3])
        self.clock.advance(5.0)
        self.assertEqual(self.over, [0, 3, 2])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_set_anew_by_one_that_is_over(self) -> None:
        """One that begins anew when it is over, as a watch does, holds up none that came later."""
        times: list[tuple[str, float]] = []

        def due(owner: str) -> None:
            times.append((owner, self.clock.seconds()))
            if owner == "watch":
                deadlines.set(owner)

        deadlines: Deadlines[str] = Deadlines(self.clock, 5.0, due)
        deadlines.set("watch")
        self.clock.advance(1.0)
        deadlines.set("late")
        self.clock.pump([1.0] * 10)
        self.assertEqual(times, [("watch", 5.0), ("late", 6.0), ("watch", 10.0)])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_an_error(self) -> None:
        """One that raises does not keep the others waiting."""

        def due(owner: int) -> None:
            self.over.append(owner)
            if owner == 0:
                raise ValueError

        deadlines: Deadlines[int] = Deadlines(self.clock, 5.0, due)
        for owner in range(3):
            deadlines.set(owner)
        with self.assertRaises(ValueError):
            self.clock.advance(5.0)
        self.clock.advance(0)
        self.assertEqual(self.over, [0, 1, 2])

    def test_with_timers(self) -> None:
        """A lasting one keeps its idle call with `Timers`, until they rest; another does not."""
        timers: Any = Timers(self.clock)
        lasting: Deadlines[int] = Deadlines(timers, 5.0, self.over.append, lasting=True)
        passing: Deadlines[int] = Deadlines(timers, 7.0, self.over.append)
        for each in (lasting, passing):
            each.set(1)
            self.clock.advance(1.0)
            each.drop(1)
        passing.set(2)
        passing.drop(2)
        lasting.set(3)
        self.clock.advance(5.0)
        self.assertEqual(self.over, [3])
        lasting.set(4)
        lasting.drop(4)
        timers.rest()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        lasting.set(5)
        lasting.drop(5)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TimersTests(SynchronousTestCase):
    """Limits whose clock is `Timers`."""

    def test_no_queue_for_a_rest(self) -> None:
        """However uneven the times between limits are, they take no place among the lengths."""
        clock = Clock()
        timers = Timers(clock)
        over: list[int] = []
        limits = Deadlines(timers, 5.0, over.append)
        for owner in range(100):
            limits.set(owner)
            clock.advance(0.1 + owner / 1000)
        self.assertGreater(len(over), 20)
        clock.advance(10.0)
        self.assertEqual(over, list(range(100)))
        self.assertEqual(timers._queues, {})

    def test_made_late(self) -> None:
        """Limits that are made while their clock rests leave no idle call either."""
        clock = Clock()
        timers = Timers(clock)
        timers.rest()
        limits: Deadlines[int] = Deadlines(timers, 5.0, int, lasting=True)
        limits.set(1)
        limits.drop(1)
        self.assertEqual(clock.getDelayedCalls(), [])


class SharedTests(SynchronousTestCase):
    """The limits that a clock keeps for who comes and goes."""

    def test_shared(self) -> None:
        """Who names the same length and kind at the same `Timers` gets the same limits, which rest
        with it; at another clock, limits of its own."""
        clock = Clock()
        timers = Timers(clock)
        over: list[str] = []

        def late(owner: str) -> None:
            over.append(owner)

        first = deadlines_of(timers, 2.0, late)
        self.assertIs(deadlines_of(timers, 2.0, late), first)
        self.assertIsNot(deadlines_of(timers, 3.0, late), first)
        self.assertIsNot(deadlines_of(timers, 2.0, over.append), first)
        self.assertIsNot(deadlines_of(clock, 2.0, late), deadlines_of(clock, 2.0, late))
        first.set("a")
        first.set("b")
        first.drop("a")
        clock.advance(2.0)
        self.assertEqual(over, ["b"])
        timers.rest()
        self.assertEqual(clock.getDelayedCalls(), [])
