"""Tests of konnect.ops.lag."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.ops.lag import INTERVAL, LagMeter
from konnect.tunnel.histogram import Histogram


class LagMeterTests(SynchronousTestCase):
    """How late a timer comes."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.observed = Histogram((0.125,))
        self.meter = LagMeter(self.clock, self.observed)

    def test_in_time(self) -> None:
        """A loop that is free has no lag, at each look anew."""
        self.meter.start()
        self.clock.pump([INTERVAL] * 3)
        self.assertEqual(self.observed.counts, [3, 0])
        self.assertEqual(self.observed.sum, 0.0)

    def test_held_up(self) -> None:
        """What the loop was held up beyond the time asked for is observed, once."""
        self.meter.start()
        self.clock.advance(INTERVAL + 2.0)
        self.assertEqual(self.observed.counts, [0, 1])
        self.assertEqual(self.observed.sum, 2.0)
        self.clock.advance(INTERVAL)
        self.assertEqual(self.observed.counts, [1, 1])

    def test_stopped(self) -> None:
        """Nothing is left behind, also when it never began."""
        self.meter.stop()
        self.meter.start()
        self.meter.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
