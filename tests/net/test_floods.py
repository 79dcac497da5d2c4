"""Tests of konnect.net.floods."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.floods import FloodGauge


def ask(gauge: FloodGauge, clock: Clock, rate: float, seconds: float) -> bool:
    """Whether frames at `rate` a second for so many seconds are called a flood at any time."""
    count = 0
    flooded = False
    for _ in range(int(seconds * 100)):
        clock.advance(0.01)
        count += int(rate / 100)
        if count >= gauge.mark:
            flooded = gauge.flooded(count) or flooded
    return flooded


class FloodTests(SynchronousTestCase):
    def test_at_the_rate(self) -> None:
        """A peer that stays at the allowed rate is never cut."""
        clock = Clock()
        self.assertFalse(ask(FloodGauge(clock, 1000), clock, 1000, 20))

    def test_above_the_rate(self) -> None:
        """Three times the allowed rate is a flood."""
        clock = Clock()
        self.assertTrue(ask(FloodGauge(clock, 1000), clock, 3000, 20))

    def test_a_burst(self) -> None:
        """All of a batch at once is a flood; half a batch after a silence is not."""
        clock = Clock()
        gauge = FloodGauge(clock, 1000)
        self.assertTrue(gauge.flooded(gauge.mark))
        clock.advance(10)
        self.assertFalse(gauge.flooded(gauge.mark))

    def test_no_limit(self) -> None:
        """Rate 0 asks never."""
        self.assertGreater(FloodGauge(Clock(), 0).mark, 10**15)

    def test_a_clock_that_goes_back(self) -> None:
        """A wall clock that steps back counts as no time, not as an error."""
        clock = Clock()
        clock.advance(100)
        gauge = FloodGauge(clock, 1000)
        clock.rightNow = 50.0
        self.assertTrue(gauge.flooded(gauge.mark))
