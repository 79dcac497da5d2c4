"""Tests of konnect.app.bounds."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.app.bounds import make_pace, make_pressure
from konnect.net.hub.loop import hub_of
from konnect.net.hub.reads import SCRATCH
from konnect.tunnel.backlog import Backlog
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.pace import HOLD, READ
from konnect.tunnel.pressure import LOOK


class BoundsTests(SynchronousTestCase):
    """What a program does beside its links' windows."""

    def test_reads(self) -> None:
        """While windows are small, reads are, too."""
        clock = Clock()
        ledger = Ledger(clock.seconds)
        pressure = make_pressure(ledger, 100_000, list, clock)
        backlog = Backlog(ledger)
        backlog.put(b"x" * 50_001)
        clock.advance(0)
        self.assertEqual(len(hub_of(clock).scratch), 50_000)
        backlog.drop()
        clock.advance(LOOK)
        self.assertEqual(len(hub_of(clock).scratch), SCRATCH)
        pressure.stop()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_pace(self) -> None:
        """While small messages pass, reads are smaller, whatever else was said of them."""
        clock = Clock()
        ledger = Ledger(clock.seconds)
        pressure = make_pressure(ledger, 1_000_000, list, clock)
        pace = make_pace(ledger, list, clock)
        ledger.first_small()
        self.assertEqual(len(hub_of(clock).scratch), READ)
        backlog = Backlog(ledger)
        backlog.put(b"x" * 500_001)
        clock.advance(0)
        self.assertEqual(len(hub_of(clock).scratch), READ)
        backlog.drop()
        clock.advance(HOLD)
        clock.advance(LOOK)
        self.assertEqual(len(hub_of(clock).scratch), SCRATCH)
        pace.stop()
        pressure.stop()
        self.assertEqual(clock.getDelayedCalls(), [])
