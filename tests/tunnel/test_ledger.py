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
        for _ in range(7):
            self.ledger.dial_seconds.observe(0.1)
        for _ in range(3):
            self.ledger.connection_seconds.observe(0.1)
        self.assertEqual((self.ledger.opened, self.ledger.closed, self.ledger.live), (7, 3, 4))

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
        self.ledger.stream_error("to_client", "Unavailable", "DIAL_RSP")
        self.assertEqual(self.ledger.stream_errors["to_client", "Unavailable", "DIAL_RSP"], 1)

    def test_frontend_writes(self) -> None:
        """What clients are written is counted from what else is; the waits among them are told
        apart, and what is there is not changed by asking."""
        ledger = self.ledger
        self.assertEqual(sum(ledger.frontend_writes.counts), 0)
        self.assertEqual((dict(ledger.packets), dict(ledger.closed_by_reason)), ({}, {}))
        ledger.packets.cell("from_agent", "DATA")[0] = 100
        ledger.packets.cell("from_client", "DATA")[0] = 1000
        ledger.dial_seconds.counts[0] = 9
        ledger.dial_failures.update(error_response=3, no_agent=50)
        ledger.failed_by_reason.update(dial_closed=2, refused=3)
        ledger.connection_seconds.counts[0] = 7
        ledger.closed_by_reason.update(client_lost=2, client_left=1, destination_closed=4)
        ledger.frontend_waits.observe(0.2)
        for _ in range(2):
            writes = ledger.frontend_writes
            self.assertEqual(sum(writes.counts), 100 + 9 + 3 + 2 + 7 - 3)
            self.assertEqual((writes.sum, writes.counts[6]), (0.2, 1))

    def test_more_waits_than_writes(self) -> None:
        """No bucket is ever below nothing."""
        self.ledger.frontend_waits.observe(0.2)
        self.assertEqual(self.ledger.frontend_writes.counts[0], 0)

    def test_dial_bounds(self) -> None:
        """An agent's dials have upstream's bounds for agents, a proxy's those for servers."""
        self.assertEqual(self.ledger.dial_seconds.bounds, DIAL_BOUNDS)
        agent = Ledger(lambda: 0.0, agent=True)
        self.assertEqual(agent.dial_seconds.bounds, AGENT_DIAL_BOUNDS)
