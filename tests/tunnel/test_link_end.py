"""Tests of konnect.tunnel.link_end without credit: budget and stall limit, and what is agreed on.

`LinkTestCase.tearDown` asserts what every test here is about: each byte of window went back exactly
once, nothing is held and no timer runs.
"""

from __future__ import annotations

from konnect.tunnel.flow import Flow
from konnect.tunnel.reasons import Reason
from konnect.wire import packets
from konnect.wire.features import Features
from tests.fakes import FakeEnd
from tests.tunnel.linking import OURS, LinkTestCase


class BudgetTests(LinkTestCase):
    """Receiving from a stock peer: no credit, a budget and a stall limit for each tunnel."""

    flow = Flow(budget=1000, stall_timeout=30.0)

    def setUp(self) -> None:
        super().setUp()
        self.near = self.tunnel(1)

    def stuff(self, *costs: int) -> None:
        """The other end is full and DATA goes on coming."""
        self.end(1).pause()
        for cost in costs:
            self.data(1, b"x", cost)

    def test_within_the_budget(self) -> None:
        """A full tunnel's window goes back while it holds no more than the budget."""
        self.stuff(600, 400)
        self.assertEqual(self.withheld, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_beyond_the_budget(self) -> None:
        """Beyond the budget the window stays shut until the tunnel goes on."""
        self.stuff(600, 401, 50)
        self.assertEqual(self.withheld, 451)
        self.end(1).resume()
        self.assertEqual(self.withheld, 0)
        self.data(1, b"x", 5000)
        self.assertEqual(self.withheld, 0, "a tunnel that takes its bytes holds nothing")

    def test_the_budget_begins_anew(self) -> None:
        """A tunnel that went on has its whole budget again."""
        self.stuff(1000)
        self.end(1).resume()
        self.stuff(1000)
        self.assertEqual(self.withheld, 0)
        self.end(1).resume()

    def test_drained(self) -> None:
        """Window goes back as bytes leave, and the rest when the tunnel goes on: each byte once."""
        self.stuff(1000, 300, 200)
        self.assertEqual(self.withheld, 500)
        self.end(1).drained(450)
        self.assertEqual(self.withheld, 50)
        self.end(1).drained(10_000)
        self.assertEqual(self.withheld, 0)
        self.end(1).drained(10_000)
        self.end(1).resume()
        self.assertEqual(self.withheld, 0)

    def test_closed_while_full(self) -> None:
        """A tunnel that ends gives back what it owes."""
        self.stuff(1000, 300)
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.CLIENT_LOST)
        self.assertEqual(self.withheld, 0)

    def test_closed_by_its_own_bytes(self) -> None:
        """Bytes whose delivery ends the tunnel are given back too."""
        self.stuff(1000)
        tunnel = self.near.tunnel
        assert tunnel is not None
        self.near.write = lambda data: tunnel.close(Reason.CLIENT_LOST)  # type: ignore[method-assign]
        self.data(1, b"x", 700)
        self.assertEqual(self.withheld, 0)

    def test_lost_while_full(self) -> None:
        """So does one whose link ends."""
        self.stuff(1000, 300)
        self.link.end_all(Reason.AGENT_LOST)
        self.assertEqual(self.withheld, 0)

    def test_stalled(self) -> None:
        """A tunnel that holds up the link without any progress is cut after the stall timeout."""
        self.stuff(1000, 300)
        self.clock.advance(29.9)
        self.assertEqual(self.near.take()[-1], ("write", b"x"))
        self.clock.advance(0.2)
        self.assertEqual(self.link.take(), [("stalled", 1), ("close", 1, Reason.STALLED)])
        self.assertEqual(self.near.take(), [("close", Reason.STALLED)])
        self.assertEqual(dict(self.ledger.closed_by_reason), {"stalled": 1})

    def test_slow_is_not_stalled(self) -> None:
        """A tunnel that makes progress within each timeout is not cut."""
        self.stuff(1000, 300)
        for _ in range(4):
            self.end(1).drained(1)
            self.clock.advance(29)
        self.assertIn(1, self.link.ends)
        self.assertEqual(self.withheld, 296)
        self.clock.advance(60)
        self.assertNotIn(1, self.link.ends)

    def test_no_stall_when_nothing_is_owed(self) -> None:
        """A tunnel that has given back all that it owed holds up nobody and is left alone."""
        self.stuff(1000, 300)
        self.end(1).drained(300)
        self.clock.advance(61)
        self.assertIn(1, self.link.ends)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class AgreementTests(LinkTestCase):
    """What is in force depends on both."""

    flow = Flow(features=Features(credit=OURS, half_close=False))
    peer = Features(credit=0, half_close=True)

    def test_only_common_features(self) -> None:
        """A feature that one side did not announce is not used by the other."""
        near: FakeEnd = self.tunnel(1)
        self.assertEqual((self.link.send_credit, self.link.receive_credit), (0, 0))
        self.assertFalse(self.link.half_close)
        self.end(1).write(b"x" * (2 * OURS))
        self.stream.deliver(packets.half_close(1))
        self.data(1, b"x" * OURS)
        self.assertEqual({packet[0] for packet in self.stream.take()}, {"DATA"})
        self.assertEqual([call[0] for call in near.take()], ["write"])
