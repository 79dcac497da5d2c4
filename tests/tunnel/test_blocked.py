"""Tests of konnect.tunnel.blocked: a stock peer that takes nothing is told of, once."""

from __future__ import annotations

from konnect.tunnel.flow import Flow
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

    def state(self) -> tuple[object, int]:
        """What was told since the last look, and the count of blocked links."""
        return self.link.take(), self.ledger.blocked_links

    def goes_on(self) -> None:
        """The stream takes more, and is full again at once."""
        self.link.writable()
        for near in self.nears:
            near.take()
        self.end(1).write(b"x" * 10_000)

    def test_blocked(self) -> None:
        """After the time it is told, once."""
        self.clock.advance(SECONDS - 0.01)
        self.assertEqual(self.state(), ([], 0))
        self.clock.advance(0.01)
        self.assertEqual(self.state(), ([("blocked", 2)], 1))
        for _ in range(3):
            self.clock.advance(SECONDS)
        self.assertEqual(self.state(), ([], 1))

    def test_slow(self) -> None:
        """One that takes a little now and then is not blocked."""
        for _ in range(10):
            self.clock.advance(SECONDS * 0.7)
            self.goes_on()
        self.assertEqual(self.state(), ([], 0))

    def test_moves_again(self) -> None:
        """That is told too, and it may be blocked again."""
        self.clock.advance(SECONDS)
        self.goes_on()
        self.assertEqual(self.state(), ([("blocked", 2), ("blocked", 0)], 0))
        self.clock.pump([SECONDS, SECONDS])
        self.assertEqual(self.state(), ([("blocked", 2)], 1))

    def test_nobody_waits(self) -> None:
        """When the tunnels that wait are gone, it is not blocked any more, and nothing is left."""
        self.clock.advance(SECONDS)
        for connect_id in (1, 2):
            tunnel = self.end(connect_id).tunnel
            assert tunnel is not None
            tunnel.close(self.link.far_side_closed)
        self.clock.advance(SECONDS)
        self.assertEqual(self.ledger.blocked_links, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lost(self) -> None:
        """A link that ends is none that is blocked."""
        self.clock.advance(SECONDS)
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
        self.clock.advance(0.5)
        self.assertEqual(self.link.take(), [])
        self.clock.advance(0.5)
        self.assertEqual(self.link.take(), [("blocked", 1)])
        self.link.end_all(self.link.far_side_closed)


class OwnPeerTests(CreditTestCase):
    """A peer with credit: none of its tunnels holds up the link."""

    near: FakeEnd

    def test_nothing_is_watched(self) -> None:
        self.stream.room = False
        self.end(1).write(b"x" * 10_000)
        self.assertEqual(self.clock.getDelayedCalls(), [])
