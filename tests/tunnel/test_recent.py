"""Tests of konnect.tunnel.recent."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.recent import remember


class RememberTests(SynchronousTestCase):
    def test_bounded(self) -> None:
        """The oldest is forgotten when there are too many; one that is forgotten may be added."""
        ids: dict[int, None] = {}
        for connect_id in (1, 2, 3, 3):
            remember(ids, connect_id, 2)
        self.assertEqual(list(ids), [2, 3])
        del ids[2]
        remember(ids, 1, 2)
        self.assertEqual(list(ids), [3, 1])
