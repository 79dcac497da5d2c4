"""Tests of konnect.tunnel.window: windows of all tunnels of a link that change together."""

from __future__ import annotations

from konnect.tunnel import window
from konnect.tunnel.link_end import LinkEnd
from konnect.tunnel.reasons import Reason
from konnect.wire import packets
from konnect.wire.features import MAX_CREDIT
from tests.tunnel.linking import OURS, THEIRS, CreditTestCase, LinkTestCase


class ChangedByThePeerTests(CreditTestCase):
    """As the sender."""

    def change(self, increment: int) -> None:
        """The peer's word for all tunnels."""
        self.stream.deliver(packets.credit(0, increment))

    def test_smaller(self) -> None:
        """What is left of the credit shrinks, also of tunnels to come; the source stops there."""
        self.end(1).write(b"x" * 1000)
        self.change(4096 - THEIRS)
        two = self.tunnel(2)
        self.sent()
        self.end(1).write(b"x" * 4096)
        self.assertEqual(self.sent(), 3096)
        self.end(2).write(b"x" * 4096)
        self.assertEqual(self.sent(), 4096)
        self.assertEqual(self.near.take() + two.take(), [("pause",)] * 2)

    def test_less_than_nothing(self) -> None:
        """A tunnel that has sent more than it now may stops at once, until enough came back."""
        self.end(1).write(b"x" * 10_000)
        self.sent()
        self.change(4096 - THEIRS)
        self.assertEqual(self.near.take(), [("pause",)])
        self.end(1).write(b"y" * 10)
        self.stream.deliver(packets.credit(1, 10_000 - 4096))
        self.assertEqual(self.sent(), 0)
        self.stream.deliver(packets.credit(1, 4))
        self.assertEqual(self.sent(), 4)
        self.assertEqual(self.near.take(), [], "there is no credit left")
        self.stream.deliver(packets.credit(1, 7))
        self.assertEqual(self.sent(), 6)
        self.assertEqual(self.near.take(), [("resume",)])

    def test_as_before(self) -> None:
        """The change undone, a source that it had stopped goes on."""
        self.end(1).write(b"x" * 10_000)
        self.change(4096 - THEIRS)
        self.change(THEIRS - 4096)
        self.assertEqual(self.near.take(), [("pause",), ("resume",)])
        self.sent()
        self.end(1).write(b"x" * THEIRS)
        self.assertEqual(self.sent(), THEIRS - 10_000)

    def test_ends_that_are_not_open_yet(self) -> None:
        """A tunnel whose dial is on its way has the smaller window too."""
        asking = LinkEnd(self.link, 7)
        self.link.asking = [asking]
        self.change(4096 - THEIRS)
        asking.write(b"x" * THEIRS)
        self.assertEqual(self.sent(), 4096)
        asking.gone()

    def test_nonsense(self) -> None:
        """A change that would leave no window at all, or too much of one, is ignored."""
        for increment in (-THEIRS, -(1 << 62), MAX_CREDIT, 1 << 62):
            self.change(increment)
        self.end(1).write(b"x" * (THEIRS + 1))
        self.assertEqual(self.sent(), THEIRS)


class ChangedByUsTests(CreditTestCase):
    """As the receiver."""

    def test_told(self) -> None:
        """The peer is told the difference, and only when there is one."""
        for size in (4096, 4096, OURS // 2, OURS, 2 * OURS):
            window.resize(self.link, size)
        self.assertEqual(
            self.stream.take(),
            [("CREDIT", 0, 4096 - OURS), ("CREDIT", 0, OURS // 2 - 4096), ("CREDIT", 0, OURS // 2)],
        )

    def test_returned_earlier(self) -> None:
        """Half of the smaller window is returned; what was kept back beyond that goes at once, or
        the peer would wait for ever."""
        self.data(1, b"x" * 5000)
        window.resize(self.link, 8192)
        self.assertEqual(self.stream.take(), [("CREDIT", 0, 8192 - OURS), ("CREDIT", 1, 5000)])
        self.data(1, b"x" * 4095)
        self.assertEqual(self.stream.take(), [])
        self.data(1, b"x")
        self.assertEqual(self.stream.take(), [("CREDIT", 1, 4096)])

    def test_held(self) -> None:
        """What is held when the window shrinks is returned as it leaves."""
        self.end(1).pause()
        self.data(1, b"x" * 5000)
        window.resize(self.link, 8192)
        self.assertEqual(self.stream.take(), [("CREDIT", 0, 8192 - OURS)])
        self.end(1).drained(4096)
        self.assertEqual(self.stream.take(), [("CREDIT", 1, 4096)])

    def test_tunnels_that_are_over(self) -> None:
        """A tunnel that only waits to say its last returns nothing."""
        self.data(1, b"x" * 5000)
        self.end(1).write(b"x" * THEIRS + b"tail")
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.CLIENT_CLOSED)
        self.stream.take()
        window.resize(self.link, 8192)
        self.assertEqual(self.stream.take(), [("CREDIT", 0, 8192 - OURS)])

    def test_a_peer_that_goes_on(self) -> None:
        """What the peer had sent before it knew is no fault of its."""
        self.end(1).pause()
        window.resize(self.link, 4096)
        self.data(1, b"x" * OURS)
        self.assertEqual(self.link.take(), [])

    def test_lost(self) -> None:
        """Nobody is told anything on a link that is gone."""
        self.link.lost = True
        window.resize(self.link, 4096)
        self.assertEqual(self.stream.take(), [])


class StockTests(LinkTestCase):
    """With a peer that knows no credit."""

    def test_nothing_is_said(self) -> None:
        window.resize(self.link, 4096)
        self.stream.deliver(packets.credit(0, 100))
        self.assertEqual(self.stream.take(), [])

    def test_no_budget_above_the_limit(self) -> None:
        """While the process holds too much, a tunnel that is not read has no budget: its bytes
        keep the link's window."""
        self.tunnel(1)
        self.end(1).pause()
        self.data(1, b"x" * 100)
        self.assertEqual(self.withheld, 0)
        self.ledger.limit = -1
        self.data(1, b"x" * 100)
        self.assertGreater(self.withheld, 0)
        self.end(1).resume()
        self.assertEqual(self.withheld, 0)
