"""Tests of konnect.tunnel.blocked: a stock peer that takes nothing is told of, once."""

from __future__ import annotations

from konnect.tunnel.blocked import LOOKS
from konnect.tunnel.flow import Flow
from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.fakes import FakeEnd
from tests.tunnel.linking import CreditTestCase, LinkTestCase

SECONDS = 5.0


class BlockedTests(LinkTestCase):
    """A link whose stream takes no more."""

    flow = Flow(stall_timeout=SECONDS)

    def setUp(self) -> None:
        super().setUp()
        self.nears = [self.tunnel(1), self.tunnel(2)]
        self.stream.room = False
        for connect_id in (1, 2):
            self.end(connect_id).write(b"x" * 10_000)

    def passes(self, times: float) -> None:
        """So many times the seconds after which it is told."""
        looks = round(times * LOOKS)
        self.clock.pump([SECONDS / LOOKS] * looks)

    def close_all(self) -> None:
        """Both tunnels end, and what they had sent is taken."""
        for connect_id in (1, 2):
            tunnel = self.end(connect_id).tunnel
            assert tunnel is not None
            tunnel.close(self.link.far_side_closed)
        self.stream.unread = 0

    def state(self) -> tuple[object, int]:
        """What was told since the last look, and the count of blocked links."""
        return self.link.take(), self.ledger.blocked_links

    def goes_on(self) -> None:
        """The stream takes more, and is full again at once."""
        self.stream.unread = 0
        self.link.writable()
        for near in self.nears:
            near.take()
        self.end(1).write(b"x" * 10_000)

    def test_blocked(self) -> None:
        """After the time it is told, once."""
        self.passes(0.8)
        self.assertEqual(self.state(), ([], 0))
        # The second tunnel wrote after the first began to wait, which looks like a move.
        self.passes(0.4)
        self.assertEqual(self.state(), ([("blocked", 2)], 1))
        self.passes(3)
        self.assertEqual(self.state(), ([], 1))

    def test_slow(self) -> None:
        """One that takes a little now and then is not blocked."""
        for _ in range(10):
            self.passes(0.8)
            self.goes_on()
        self.assertEqual(self.state(), ([], 0))

    def test_moves_again(self) -> None:
        """That is told too, and it may be blocked again."""
        self.passes(1.2)
        self.goes_on()
        self.assertEqual(self.state(), ([("blocked", 2), ("blocked", 0)], 0))
        self.passes(1.4)
        self.assertEqual(self.state(), ([("blocked", 2)], 1))

    def test_nobody_waits(self) -> None:
        """When the tunnels that wait are gone, it is not blocked any more, and nothing is left."""
        self.passes(1.2)
        self.close_all()
        self.passes(1)
        self.assertEqual(self.ledger.blocked_links, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_control_packet(self) -> None:
        """One that waits is somebody's answer: it is told although no tunnel waits."""
        self.close_all()
        self.passes(1)
        self.stream.waiting = 1
        self.link.send(PacketType.CLOSE_RSP, packets.close_rsp(7, ""))
        self.passes(1)
        self.assertEqual(self.link.take()[-1], ("blocked", 1))
        self.stream.unread = self.stream.waiting = 0
        self.passes(0.2)
        self.assertEqual(self.ledger.blocked_links, 0)

    def test_lost(self) -> None:
        """A link that ends is none that is blocked."""
        self.passes(1.2)
        self.link.end_all(self.link.far_side_closed)
        self.assertEqual(self.ledger.blocked_links, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class AtOnceTests(LinkTestCase):
    """A stall timeout of nothing."""

    flow = Flow(stall_timeout=0)

    def test_not_at_once(self) -> None:
        """Looks have some time between them."""
        self.tunnel(1)
        self.stream.room = False
        self.end(1).write(b"x" * 10_000)
        self.clock.pump([0.2] * 4)
        self.assertEqual(self.link.take(), [])
        self.clock.advance(0.2)
        self.assertEqual(self.link.take(), [("blocked", 1)])
        self.link.end_all(self.link.far_side_closed)


class OwnPeerTests(CreditTestCase):
    """A peer with credit: none of its tunnels holds up the link."""

    near: FakeEnd

    def test_nothing_is_watched(self) -> None:
        self.stream.room = False
        self.end(1).write(b"x" * 10_000)
        self.assertEqual(self.clock.getDelayedCalls(), [])
