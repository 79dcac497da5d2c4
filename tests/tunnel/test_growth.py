"""Tests of konnect.tunnel.growth: how large a tunnel's window becomes, and when it goes back."""

from __future__ import annotations

from konnect.tunnel.growth import TIMES, most
from konnect.tunnel.link_sizes import CONNECTION_WINDOW, CREDIT_SLACK, LONG, PATH_RATE
from konnect.tunnel.pressure import LOOK, Pressure
from konnect.tunnel.reasons import Reason
from tests.tunnel.linking import OURS, CreditTestCase

HALF = OURS // 2
"""What goes back together."""

TRIP = 0.05

ROUND = 1.01 * TRIP
"""A time in which a round trip is certainly over."""

WIDEST = TIMES * OURS


class MostTests(CreditTestCase):
    """What a window may become."""

    def test_unknown_path(self) -> None:
        """Nothing grows before the round trip is known."""
        self.assertEqual(most(self.link), 0)

    def test_short_path(self) -> None:
        """As much as passes in a round trip; twice that where it is the path that takes long."""
        self.stream.trip = LONG / 2
        self.assertEqual(most(self.link), round(PATH_RATE * LONG / 2))
        self.stream.trip = LONG + 0.001
        self.assertEqual(most(self.link), round(PATH_RATE * (LONG + 0.002)))

    def test_long_path(self) -> None:
        """At most so many times the announced window: that is the operator's word."""
        self.stream.trip = 10.0
        self.assertEqual(most(self.link), WIDEST)
        self.link.receive_credit = CONNECTION_WINDOW
        self.assertEqual(most(self.link), CONNECTION_WINDOW)


class ReadingTestCase(CreditTestCase):
    """A tunnel with a reader that takes what comes."""

    def setUp(self) -> None:
        super().setUp()
        self.stream.trip = TRIP

    def read(self, size: int, seconds: float) -> int:
        """`size` bytes come and are taken, evenly over so many seconds; the credit that went back
        for them, beyond them."""
        allowed = 0
        for _ in range(size // HALF):
            self.clock.advance(seconds * HALF / size)
            self.data(1, b"x" * HALF)
            allowed += self.credit()
        return allowed - size

    def credit(self) -> int:
        """What CREDIT packets for the tunnel said since the last look."""
        sent = [packet for packet in self.stream.take() if packet[:2] == ("CREDIT", 1)]
        return sum(packet[2] for packet in sent)


class GrowthTests(ReadingTestCase):
    """How the window follows what leaves."""

    def test_doubles(self) -> None:
        """A window's worth within a round trip doubles the window, up to the largest."""
        self.read(HALF, 1.0)
        window, grown = OURS, []
        while window < WIDEST:
            window += self.read(window, ROUND)
            grown.append(window)
        self.assertEqual(grown, [OURS << n for n in range(1, len(grown) + 1)])
        self.assertEqual(self.read(window, ROUND), 0, "large enough")

    def test_the_path_is_measured_again(self) -> None:
        """A window that may become larger is reason to look how long the path is."""
        self.read(HALF, 1.0)
        self.assertEqual(self.stream.measured, 1)
        self.read(OURS, ROUND)
        self.assertEqual(self.stream.measured, 2)
        self.stream.trip = 0.0001
        self.assertEqual(self.read(8 * OURS, ROUND), -OURS, "it is short after all")

    def test_large_enough(self) -> None:
        """A window that has become what it can be is no reason any more."""
        self.link.receive_credit = CONNECTION_WINDOW
        self.stream.trip = 2 * OURS / PATH_RATE
        self.read(HALF, 1.0)
        self.assertEqual(self.read(OURS, 1.01 * self.stream.trip), OURS)
        self.assertEqual(self.read(8 * OURS, 4 * self.stream.trip), 0)
        self.assertEqual(self.stream.measured, 2)

    def test_moderate(self) -> None:
        """What leaves in less than half a window's worth lets the window be."""
        self.read(HALF, 1.0)
        self.assertEqual(self.read(10 * OURS, 21 * TRIP), 0)

    def test_short_path(self) -> None:
        """Where the window is as much as the path holds, it stays, and nothing is made to watch."""
        self.stream.trip = OURS / PATH_RATE
        self.assertEqual(self.read(40 * OURS, 0.001), 0)
        self.assertIsNone(self.end(1)._growth)

    def test_slow_again(self) -> None:
        """A reader that has become slow has no more than the announced window in the end."""
        self.read(HALF, 1.0)
        grown = self.read(OURS, ROUND) + self.read(2 * OURS, ROUND)
        self.assertEqual(grown, 3 * OURS)
        self.assertEqual(self.read(8 * OURS, 320 * TRIP), -grown)
        self.assertEqual(self.read(8 * OURS, 320 * TRIP), 0)

    def test_the_peer_may_use_it(self) -> None:
        """The larger window can be sent at once; more than it, with the slack, ends the tunnel."""
        self.read(HALF, 1.0)
        grown = self.read(OURS, ROUND)
        self.near.write = self._stop  # type: ignore[method-assign,assignment]
        allowed = OURS + grown + CREDIT_SLACK
        self.data(1, b"x" * (allowed // 2))
        self.data(1, b"x" * (allowed - allowed // 2))
        self.assertEqual(self.link.take(), [])
        self.data(1, b"x")
        self.assertEqual(self.link.take(), [("close", 1, Reason.PROTOCOL)])

    def _stop(self, data: bytes) -> None:
        """A reader that takes no more."""
        self.end(1).pause()


class TakenBackTests(ReadingTestCase):
    """Too much waits in the process."""

    def setUp(self) -> None:
        super().setUp()
        self.told: list[int] = []
        self.limit = 64 * OURS
        self.pressure = Pressure(
            self.ledger, self.limit, lambda: [self.link], self.clock.callLater, self.told.append
        )
        self.read(HALF, 1.0)
        self.grown = self.read(OURS, ROUND)

    def tearDown(self) -> None:
        self.ledger.buffered = 0
        self.pressure.stop()
        super().tearDown()

    def wait(self, size: int) -> None:
        """So many bytes wait somewhere."""
        self.ledger.buffered = size
        self.ledger.crowded()
        self.clock.advance(0)

    def test_at_once(self) -> None:
        """What the window had grown by is taken back, and it does not grow meanwhile."""
        self.wait(self.limit // 2 + 1)
        self.assertEqual(self.credit(), -self.grown)
        self.assertEqual(self.read(4 * OURS, ROUND), 0)
        self.clock.advance(LOOK)
        self.assertEqual(self.credit(), 0, "once")

    def test_what_was_on_its_way(self) -> None:
        """What the peer had sent by then breaks no rule, and counts until it has been returned."""
        self.wait(self.limit // 2 + 1)
        self.assertEqual(self.end(1)._allowed, OURS + self.grown + CREDIT_SLACK)
        self.read(self.grown, ROUND)
        self.assertEqual(self.end(1)._allowed, OURS + CREDIT_SLACK)
        self.read(self.grown, ROUND)
        self.assertEqual(self.end(1)._allowed, OURS + CREDIT_SLACK)

    def test_afterwards(self) -> None:
        """When little waits it may grow again."""
        self.wait(self.limit // 2 + 1)
        self.ledger.buffered = 0
        self.clock.advance(LOOK)
        self.assertEqual(self.told[-1], self.pressure.share)
        self.stream.take()
        self.assertEqual(self.read(OURS, ROUND), 0, "a pause says nothing")
        self.assertEqual(self.read(OURS, ROUND), OURS)

    def test_a_lost_link(self) -> None:
        """Nobody is there to be told."""
        self.link.lost = True
        self.wait(self.limit // 2 + 1)
        self.assertEqual(self.stream.take(), [])
