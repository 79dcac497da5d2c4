"""Tests of konnect.tunnel.recent."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.recent import RecentIds


class RecentIdsTests(SynchronousTestCase):
    def test_bounded(self) -> None:
        """The oldest is forgotten when there are too many; one that is forgotten may be added."""
        recent = RecentIds(2)
        for connect_id in (1, 2, 3):
            recent.add(connect_id)
        self.assertEqual([n for n in (1, 2, 3) if n in recent], [2, 3])
        recent.discard(2)
        recent.discard(2)
        recent.add(1)
        self.assertEqual([n for n in (1, 2, 3) if n in recent], [1, 3])
