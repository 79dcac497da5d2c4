"""Tests of konnect.agent.backoff: the waits between attempts, with the jitter held still or not."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from konnect.agent.backoff import Backoff


class BackoffTests(SynchronousTestCase):
    """Waits in seconds."""

    def jitter(self, value: float) -> None:
        """Make the random number between 0 and 1 this one."""
        self.patch(random, "random", lambda: value)

    def test_errors(self) -> None:
        """Errors wait half as long again each time, up to the cap."""
        self.jitter(0.0)
        waits = Backoff(1.0, 10.0)
        self.assertEqual(
            [round(waits.after_error(), 4) for _ in range(8)],
            [1.0, 1.5, 2.25, 3.375, 5.0625, 7.5938, 10.0, 10.0],
        )

    def test_success(self) -> None:
        """A success waits the interval, and the next error begins anew."""
        self.jitter(0.0)
        waits = Backoff(1.0, 10.0)
        for _ in range(5):
            waits.after_error()
        self.assertEqual(waits.after_success(), 1.0)
        self.assertEqual(waits.after_error(), 1.0)

    def test_jitter(self) -> None:
        """Each wait is lengthened by up to a tenth, the cap's too, and never shortened."""
        self.jitter(1.0)
        waits = Backoff(1.0, 1.0)
        self.assertAlmostEqual(waits.after_error(), 1.1)
        self.assertAlmostEqual(waits.after_success(), 1.1)

    def test_jitter_is_random(self) -> None:
        """Agents that fail together do not come back together."""
        waits = Backoff(1.0, 1.0)
        seen = {waits.after_error() for _ in range(20)}
        self.assertGreater(len(seen), 1)
        self.assertTrue(all(1.0 <= wait <= 1.1 for wait in seen))

    def test_zero(self) -> None:
        """An interval of 0 does not spin, and a cap below the interval is the interval."""
        self.jitter(0.0)
        waits = Backoff(0.0, 0.0)
        self.assertEqual(waits.after_error(), Backoff.FLOOR)
        self.assertEqual(waits.after_success(), Backoff.FLOOR)
        self.assertEqual(Backoff(5.0, 1.0).after_error(), 5.0)
