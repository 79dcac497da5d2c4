"""Timers keep their length when the machine's clock is set."""

from __future__ import annotations

from twisted.internet.selectreactor import SelectReactor
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.clock import elapsed_of, steady
from tests.functional.waiting import the_reactor


class _Reactor(SelectReactor):
    """Twisted's own timers, with a time of day that the test sets; it never runs."""

    day = 1000000.0

    def seconds(self) -> float:
        return self.day

    def installWaker(self) -> None:
        """No descriptors."""


class SteadyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 50.0
        self.reactor = _Reactor()
        self.called: list[str] = []

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.reactor.runUntilCurrent()

    def test_clock_is_set(self) -> None:
        """Calls come when their time has passed, wherever the time of day has gone."""
        for step in (-3600, 3600):
            with self.subTest(step):
                self.called.clear()
                self.reactor.callLater(10, self.called.append, "before")
                steady(self.reactor, lambda: self.now)
                self.reactor.callLater(20, self.called.append, "after")
                self.reactor.day += step
                self.pass_time(9)
                self.assertEqual(self.called, [])
                self.pass_time(2)
                self.assertEqual(self.called, ["before"])
                self.assertAlmostEqual(self.reactor.timeout(), 9)
                self.pass_time(9)
                self.assertEqual(self.called, ["before", "after"])
                del self.reactor.seconds

    def test_elapsed(self) -> None:
        """Who compares its own times gets the monotonic clock itself, where there is one."""
        self.assertEqual(elapsed_of(self.reactor)(), self.reactor.day)
        steady(self.reactor, lambda: self.now)
        self.assertEqual(elapsed_of(self.reactor)(), self.now)

    def test_twisted_alone(self) -> None:
        """What this is for: Twisted's own timers follow the time of day. (When they no longer do,
        the module can go.)"""
        self.reactor.callLater(10, self.called.append, "late")
        self.reactor.day -= 3600
        self.assertEqual(self.reactor.timeout(), 3610)

    def test_tests_themselves(self) -> None:
        """The reactor of the tests is steady, so that no test hangs on a clock that is set."""
        self.assertIn("seconds", vars(the_reactor()))
