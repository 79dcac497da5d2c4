"""Tests of konnect.ops.tunnel_log."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.ops import tunnel_log
from konnect.ops.account_lines import bare_line
from konnect.ops.tunnel_log import DELAY, WAITING, Accounts, TunnelLog
from tests.ops.test_account_lines import DIAL, TUNNEL


class EventLog:
    """A logger that keeps its events' accounts."""

    def __init__(self) -> None:
        self.events: list[Accounts] = []

    def info(self, format: str, **fields: Any) -> None:
        assert format.format(**fields) == str(fields["accounts"])
        self.events.append(fields["accounts"])


class TunnelLogTests(SynchronousTestCase):
    """When accounts are written."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.time = 1000.0
        self.log = EventLog()
        self.patch(tunnel_log, "log", self.log)
        self.tunnels = TunnelLog(self.clock, "agent", lambda: self.time)

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_together(self) -> None:
        """Accounts of one moment make one event, in their order and each with its time."""
        self.tunnels(TUNNEL)
        self.time += 0.125
        self.tunnels(DIAL)
        self.assertEqual(self.log.events, [])
        self.clock.advance(DELAY)
        (event,) = self.log.events
        lines = event.lines(lambda at, side, account: f"{at} {side} {account.reason}")
        self.assertEqual(list(lines), ["1000.0 agent client_closed", "1000.125 agent refused"])

    def test_again(self) -> None:
        """What comes later makes an event of its own, and silence makes none."""
        self.tunnels(TUNNEL)
        self.clock.advance(DELAY)
        self.clock.advance(10)
        self.tunnels(TUNNEL)
        self.clock.advance(DELAY)
        self.assertEqual(len(self.log.events), 2)

    def test_bounded(self) -> None:
        """More than so many do not wait."""
        for _ in range(WAITING):
            self.tunnels(TUNNEL)
        self.assertEqual(self.log.events, [])
        self.tunnels(TUNNEL)
        (event,) = self.log.events
        self.assertEqual(len(list(event.lines(bare_line))), WAITING + 1)

    def test_close(self) -> None:
        """At the end what waits is written, and nothing when nothing does."""
        self.tunnels(TUNNEL)
        self.tunnels.close()
        self.tunnels.close()
        self.assertEqual(len(self.log.events), 1)

    def test_other_observers(self) -> None:
        """Whoever knows nothing of accounts gets a text with a line for each."""
        accounts = Accounts("agent", [(1.0, TUNNEL), (1.0, DIAL)])
        first, second = str(accounts).split("\n")
        self.assertTrue(first.startswith("tunnel ended: "))
        self.assertTrue(second.startswith("dial failed: "))
