"""Timers that share delayed calls come when they are due, in any number."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.timers import LENGTHS, Timers


class Walked(dict[Any, Any]):
    """A dict that counts who begins to walk through it."""

    walks = 0

    def __iter__(self) -> Iterator[Any]:
        self.walks += 1
        return super().__iter__()


class TimersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.timers = Timers(self.clock)
        self.called: list[Any] = []

    def test_as_the_reactor(self) -> None:
        """Whatever is set and cancelled when, it comes when the reactor's own would come."""
        random = Random(20261124)
        expected: list[Any] = []
        live: list[tuple[Any, Any]] = []
        for number in range(2000):
            if live and random.random() < 0.6:
                for timer in live.pop(random.randrange(len(live))):
                    if timer.active():
                        timer.cancel()
            seconds = random.choice((1.0, 2.5, 30.0))
            live.append(
                (
                    self.timers.callLater(seconds, self.called.append, number),
                    self.clock.callLater(seconds, expected.append, number),
                )
            )
            self.clock.advance(random.choice((0, 0.25, 0.75)))
            self.assertEqual(sorted(self.called), sorted(expected))
        self.assertTrue(expected)

    def test_one_delayed_call(self) -> None:
        """Ten thousand limits of one length are one delayed call."""
        timers = [self.timers.callLater(5, self.called.append, n) for n in range(10_000)]
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for timer in timers[:-1]:
            timer.cancel()
        self.clock.advance(5)
        self.assertEqual(self.called, [9_999])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_due_together(self) -> None:
        """A thousand that are due together are found in one walk, not in one each."""
        self.timers.callLater(5, self.called.append, -1)
        walked = self.timers._queues[5].waiting = Walked(self.timers._queues[5].waiting)
        for number in range(1000):
            self.timers.callLater(5, self.called.append, number)
        self.clock.advance(1)
        self.timers.callLater(5, self.called.append, "later")
        self.clock.advance(4)
        self.assertEqual(self.called, list(range(-1, 1000)))
        self.assertLessEqual(walked.walks, 3)
        self.clock.advance(1)
        self.assertEqual(self.called[-1], "later")

    def test_cancelled(self) -> None:
        """A cancelled one never comes, lets go of what it held, and may be cancelled again."""
        timer = self.timers.callLater(5, self.called.append, "late")
        self.assertTrue(timer.active())
        timer.cancel()
        timer.cancel()
        self.assertFalse(timer.active())
        self.clock.advance(10)
        self.assertEqual(self.called, [])

    def test_cancelled_by_another(self) -> None:
        """One that runs may cancel the next, and set new ones."""
        self.timers.callLater(5, lambda: second.cancel())
        second = self.timers.callLater(5, self.called.append, "second")
        self.timers.callLater(5, self.timers.callLater, 5, self.called.append, "new")
        self.clock.advance(5)
        self.assertEqual(self.called, [])
        self.clock.advance(5)
        self.assertEqual(self.called, ["new"])

    def test_set_by_another(self) -> None:
        """One that sets a new one when it comes, as a watch does, holds up none that was there."""
        times: list[tuple[str, float]] = []

        def come(name: str) -> None:
            times.append((name, self.clock.seconds()))
            if name == "watch":
                self.timers.callLater(5, come, name)

        self.timers.callLater(5, come, "watch")
        self.clock.advance(1)
        self.timers.callLater(5, come, "late")
        self.clock.pump([1] * 10)
        self.assertEqual(times, [("watch", 5), ("late", 6), ("watch", 10)])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_one_raises(self) -> None:
        """An error in one reaches the reactor, which logs it, and the others still come."""
        self.timers.callLater(5, lambda: 1 // 0)
        self.timers.callLater(5, self.called.append, "other")
        with self.assertRaises(ZeroDivisionError):
            self.clock.advance(5)
        self.clock.advance(0)
        self.assertEqual(self.called, ["other"])

    def test_at_once(self) -> None:
        """No time at all is the reactor's business: such a call is no limit."""
        self.timers.callLater(0, self.called.append, "now")
        self.clock.advance(0)
        self.assertEqual(self.called, ["now"])

    def test_many_lengths(self) -> None:
        """Lengths without end get no queues without end, and come all the same."""
        for seconds in range(1, 3 * LENGTHS):
            self.timers.callLater(seconds, self.called.append, seconds)
        self.assertLessEqual(len(self.timers._queues), LENGTHS)
        self.clock.advance(3 * LENGTHS)
        self.assertEqual(sorted(self.called), list(range(1, 3 * LENGTHS)))

    def test_rest(self) -> None:
        """At the end of a service the last cancelled limit takes its delayed call along."""
        before = self.timers.callLater(5, self.called.append, 1)
        self.timers.callLater(7, self.called.append, 2).cancel()
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)
        self.timers.rest()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        after = self.timers.callLater(9, self.called.append, 3)
        before.cancel()
        after.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_seconds(self) -> None:
        """The time is the reactor's."""
        self.clock.advance(3)
        self.assertEqual(self.timers.seconds(), 3)
