"""Tests of konnect.tunnel.pressure: when windows become smaller, how small, and when they are as
before."""

from __future__ import annotations

from konnect.tunnel.backlog import Backlog
from konnect.tunnel.pressure import LOOK, SMALLEST, WHOLE, Pressure
from tests.tunnel.linking import OURS, CreditTestCase

LIMIT = 40_000


class PressureTests(CreditTestCase):
    """One link and its process."""

    def setUp(self) -> None:
        super().setUp()
        self.told: list[int] = []
        self.pressure = Pressure(
            self.ledger, LIMIT, lambda: [self.link], self.clock.callLater, self.told.append
        )
        self.backlog = Backlog(self.ledger)

    def tearDown(self) -> None:
        self.backlog.drop()
        self.pressure.stop()
        super().tearDown()

    def hold(self, size: int) -> None:
        """So many bytes wait, and no others."""
        self.backlog.drop()
        self.backlog.put(b"x" * size)
        self.clock.advance(0)

    def test_below_half(self) -> None:
        """Up to half of the limit nothing happens."""
        self.hold(LIMIT // 2)
        self.assertEqual((self.told, self.link.window), ([], OURS))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_other_half_is_shared(self) -> None:
        """Above half each tunnel has its share of the other half."""
        self.hold(LIMIT // 2 + 1)
        self.assertEqual((self.told, self.link.window), ([LIMIT // 2], LIMIT // 2))
        self.assertEqual(self.stream.take(), [("CREDIT", 0, LIMIT // 2 - OURS)])

    def test_more_tunnels(self) -> None:
        """With more tunnels the shares become smaller, down to the smallest; with fewer they stay
        until there is room again."""
        self.hold(LIMIT // 2 + 1)
        self.tunnel(2)
        self.clock.advance(LOOK)
        self.assertEqual(self.link.window, LIMIT // 4)
        for connect_id in range(3, 20):
            self.tunnel(connect_id)
        self.clock.advance(LOOK)
        self.assertEqual(self.link.window, SMALLEST)
        self.tearDown_tunnels()
        self.clock.advance(LOOK)
        self.assertEqual(self.link.window, SMALLEST)

    def tearDown_tunnels(self) -> None:
        """All but the first are over."""
        for connect_id in list(self.link.ends)[1:]:
            self.link.ends.pop(connect_id).tunnel.close(self.link.far_side_closed)  # type: ignore[union-attr]

    def test_links_that_come_later(self) -> None:
        """A link that has come since has the same windows from the next look on."""
        self.hold(LIMIT // 2 + 1)
        self.link.window = OURS
        self.clock.advance(LOOK)
        self.assertEqual(self.link.window, LIMIT // 2)

    def test_as_before(self) -> None:
        """At a quarter of the limit windows are as before, and it can begin again."""
        self.hold(LIMIT // 2 + 1)
        self.hold(LIMIT // 4 + 1)
        self.clock.advance(LOOK)
        self.assertEqual(self.link.window, LIMIT // 2)
        self.hold(LIMIT // 4)
        self.clock.advance(LOOK)
        self.assertEqual((self.told, self.link.window), ([LIMIT // 2, WHOLE], OURS))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.hold(LIMIT // 2 + 1)
        self.assertEqual(self.link.window, LIMIT // 2)

    def test_not_at_once(self) -> None:
        """Windows do not change within somebody's `write`."""
        self.backlog.put(b"x" * LIMIT)
        self.assertEqual(self.told, [])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_stopped(self) -> None:
        """Behind its end nothing is left, and nothing begins again."""
        self.hold(LIMIT // 2 + 1)
        self.pressure.stop()
        self.assertEqual(self.told, [LIMIT // 2, WHOLE])
        self.hold(LIMIT)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class NoLimitTests(CreditTestCase):
    """A limit of 0."""

    def test_nothing_happens(self) -> None:
        Pressure(self.ledger, 0, lambda: [self.link], self.clock.callLater, lambda share: None)
        backlog = Backlog(self.ledger)
        backlog.put(b"x" * 1_000_000)
        self.clock.advance(0)
        self.assertEqual(self.link.window, OURS)
        backlog.drop()
