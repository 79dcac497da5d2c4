"""Tests of konnect.tunnel.ledger."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.ledger import AGENT_DIAL_BOUNDS, DIAL_BOUNDS, Ledger


class LedgerTests(SynchronousTestCase):
    """The books."""

    def setUp(self) -> None:
        self.ledger = Ledger(lambda: 0.0)

    def test_live(self) -> None:
        """The live tunnels are those opened and not closed."""
        self.ledger.opened, self.ledger.closed = 7, 3
        self.assertEqual(self.ledger.live, 4)

    def test_streams(self) -> None:
        """Streams are counted for each method on its own, and all can end."""
        self.ledger.stream_opened("Proxy")
        self.ledger.stream_opened("Proxy")
        self.ledger.stream_opened("Connect")
        self.ledger.stream_closed("Proxy")
        self.assertEqual(self.ledger.grpc_streams, {"Proxy": 1, "Connect": 1})

    def test_stream_errors(self) -> None:
        """A stream's error is counted by its segment and code."""
        self.ledger.stream_error("from_agent", "Unavailable")
        self.ledger.stream_error("from_agent", "Unavailable")
        self.assertEqual(
            dict(self.ledger.stream_errors), {("from_agent", "Unavailable", "Unknown"): 2}
        )

    def test_dial_bounds(self) -> None:
        """An agent's dials have upstream's bounds for agents, a proxy's those for servers."""
        self.assertEqual(self.ledger.dial_seconds.bounds, DIAL_BOUNDS)
        agent = Ledger(lambda: 0.0, agent=True)
        self.assertEqual(agent.dial_seconds.bounds, AGENT_DIAL_BOUNDS)
