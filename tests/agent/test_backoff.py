"""Tests of konnect.agent.backoff: the waits between attempts, with the jitter held still or not."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from konnect.agent.backoff import EAGER, HURRIED, Backoff
from konnect.agent.server_count import PLAUSIBLE


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

    def test_cheap_failures(self) -> None:
        """Where nobody listens, or hangs up, the wait is short and stays so; errors go on from
        where they were."""
        self.jitter(0.0)
        waits = Backoff(1.0, 10.0)
        waits.after_error()
        for _ in range(5):
            self.assertEqual((waits.after_refusal(), waits.after_hang_up()), (1.0, 1.5))
        self.assertEqual(waits.after_error(), 1.5)

    def test_duplicates(self) -> None:
        """Duplicates are tried at the interval, four times as many as there are proxies, and then
        less and less; a loss begins anew."""
        self.jitter(0.0)
        waits = Backoff(1.0, 10.0)
        found = [waits.after_duplicate(3) for _ in range(15)]
        self.assertEqual(found, [1.0] * 13 + [1.5, 2.25])
        waits.after_loss()
        self.assertEqual([waits.after_duplicate(1) for _ in range(6)], [1.0] * 5 + [1.5])

    def test_more_than_there_can_be(self) -> None:
        """However many proxies are announced, duplicates are less and less tried after a while."""
        self.jitter(0.0)
        waits = Backoff(1.0, 10.0)
        found = [waits.after_duplicate(10**9) for _ in range(EAGER * PLAUSIBLE + 10)]
        self.assertEqual(found[: EAGER * PLAUSIBLE], [1.0] * EAGER * PLAUSIBLE)
        self.assertEqual(found[-1], 10.0)

    def test_silence(self) -> None:
        """Where nobody is reached the wait grows as after any error."""
        self.jitter(0.0)
        waits = Backoff(1.0, 10.0)
        self.assertEqual([waits.after_silence() for _ in range(3)], [1.0, 1.5, 2.25])

    def test_hurry(self) -> None:
        """After a loss whoever costs nothing is tried each second, whatever the interval is, for
        a while; errors wait as ever."""
        self.jitter(0.0)
        waits = Backoff(5.0, 10.0)
        self.assertEqual(
            (waits.after_refusal(), waits.after_hang_up(), waits.hurried), (5, 7.5, False)
        )
        waits.after_loss()
        self.assertTrue(waits.hurried)
        self.assertEqual(waits.after_error(), 5.0)
        for _ in range(HURRIED // 3):
            self.assertEqual(
                (waits.after_refusal(), waits.after_hang_up(), waits.after_silence()), (1, 1.5, 1)
            )
        self.assertFalse(waits.hurried)
        self.assertEqual((waits.after_refusal(), waits.after_silence()), (5, 7.5))

    def test_a_shorter_interval(self) -> None:
        """The hurry makes no wait longer, and ends when nothing is missing."""
        self.jitter(0.5)
        waits = Backoff(0.2, 10.0)
        self.assertAlmostEqual(waits.after_loss(), 0.1)
        self.assertAlmostEqual(waits.after_silence(), 0.21)
        waits.after_success()
        self.assertTrue(waits.hurried, "others may be missing")
        waits.after_nothing()
        self.assertFalse(waits.hurried)

    def test_change(self) -> None:
        """More proxies are looked for within an interval, without hurry."""
        self.jitter(0.5)
        waits = Backoff(5.0, 10.0)
        waits.after_error()
        self.assertEqual((waits.after_change(), waits.hurried), (2.5, False))
        self.assertEqual(waits.after_loss(), 0.5)

    def test_duplicates_end_the_hurry(self) -> None:
        """An agent that never finds as many as it is told does not hurry for ever."""
        waits = Backoff(1.0, 10.0)
        waits.after_loss()
        for _ in range(HURRIED):
            waits.after_duplicate(3)
        self.assertFalse(waits.hurried)

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
