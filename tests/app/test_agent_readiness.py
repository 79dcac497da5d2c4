"""Tests of konnect.app.agent_readiness."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.app.agent_readiness import agent_checks
from konnect.app.sync_flags import ALL


class AgentChecksTests(SynchronousTestCase):
    """What `/readyz` is told."""

    def failure(self, connected: int, expected: int, quorum: int) -> str:
        """Why an agent is not ready; empty when it is."""
        ready, checks = agent_checks(connected, expected, 9, quorum)
        (why,) = [why for name, _, why in checks if name == "server-connected"]
        self.assertEqual(
            [name for name, fine, _ in checks if not fine], [] if ready else [checks[1][0]]
        )
        self.assertEqual(bool(why), not ready)
        return why

    def test_any(self) -> None:
        """One proxy is enough, in upstream's words."""
        self.assertEqual(self.failure(0, 3, 1), "no servers connected")
        self.assertEqual(self.failure(1, 3, 1), "")

    def test_all(self) -> None:
        """As many as are expected."""
        self.assertEqual(self.failure(0, 1, ALL), "0 of 1 servers connected")
        self.assertEqual(self.failure(2, 3, ALL), "2 of 3 servers connected")
        self.assertEqual(self.failure(3, 3, ALL), "")
        self.assertEqual(self.failure(4, 3, ALL), "")

    def test_number(self) -> None:
        """As many as are asked for, whatever is expected."""
        self.assertEqual(self.failure(1, 1, 2), "1 of 2 servers connected")
        self.assertEqual(self.failure(2, 3, 2), "")

    def test_details(self) -> None:
        """The numbers are told either way."""
        for quorum in (1, 5):
            _, checks = agent_checks(2, 3, 4, quorum)
            self.assertIn(("servers", True, "2 connected, 3 expected, 4 known"), checks)
