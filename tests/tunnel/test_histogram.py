"""Tests of konnect.tunnel.histogram."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.histogram import Histogram


class HistogramTests(SynchronousTestCase):
    """Observations and their buckets."""

    def test_buckets(self) -> None:
        """A bound belongs to its own bucket, and what is above all bounds to the last."""
        histogram = Histogram((1.0, 5.0))
        for seconds in (0.0, 1.0, 1.1, 5.0, 5.1, 1e9):
            histogram.observe(seconds)
        self.assertEqual(histogram.counts, [2, 2, 2])
        self.assertAlmostEqual(histogram.sum, 12.2 + 1e9)

    def test_a_clock_set_back(self) -> None:
        """A negative time counts as none, so that the sum never falls."""
        histogram = Histogram((1.0,))
        histogram.observe(-3.0)
        self.assertEqual(histogram.counts, [1, 0])
        self.assertEqual(histogram.sum, 0.0)
