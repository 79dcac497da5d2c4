"""Tests of konnect.net.unread."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.unread import MANY, UNREAD, UnreadEnds


class UnreadTests(SynchronousTestCase):
    """The ends of streams that wait for their peer."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.left = {1: 100}
        self.dropped: list[int] = []
        self.ends = UnreadEnds(self.clock, lambda i: self.left.get(i, 0), self.dropped.append)

    def test_nothing_waits(self) -> None:
        """A stream whose last bytes are out is not watched."""
        self.ends.watch(3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_progress(self) -> None:
        """What a peer does not take at all is dropped after a while."""
        self.ends.watch(1)
        self.clock.advance(UNREAD - 1)
        self.assertEqual(self.dropped, [])
        self.clock.advance(2)
        self.assertEqual(self.dropped, [1])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_progress(self) -> None:
        """A slow peer has all the time it needs, as long as it reads."""
        self.ends.watch(1)
        for left in range(90, -1, -10):
            self.left[1] = left
            self.clock.advance(UNREAD)
        self.assertEqual((self.dropped, self.clock.getDelayedCalls()), ([], []))

    def test_many_that_are_gone(self) -> None:
        """Of streams that have come and gone in numbers, few are remembered; those whose end waits
        keep their time."""
        waiting = range(1, MANY)
        for stream_id in range(1, 20 * MANY):
            self.left[stream_id] = 10
            self.ends.watch(stream_id)
            if stream_id not in waiting:
                del self.left[stream_id]
        self.assertLessEqual(len(self.clock.getDelayedCalls()), 2 * MANY)
        self.clock.advance(UNREAD + 1)
        self.assertEqual(self.dropped, [*waiting])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """With the connection, the watch ends."""
        self.ends.watch(1)
        self.ends.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
