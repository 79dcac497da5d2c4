"""Tests of konnect.tunnel.pace: what a small message is, when bulk makes way, and for how long."""

from __future__ import annotations

from konnect.tunnel.pace import HOLD, READ, Pace
from konnect.tunnel.parking import LITTLE
from konnect.tunnel.pressure import WHOLE
from tests.tunnel.linking import CreditTestCase


class PaceTests(CreditTestCase):
    """One link and its process."""

    def setUp(self) -> None:
        super().setUp()
        self.told: list[int] = []
        self.links = [self.link]
        self.pace = Pace(self.ledger, lambda: self.links, self.clock.callLater, self.told.append)

    def tearDown(self) -> None:
        self.pace.stop()
        super().tearDown()

    def write(self, *sizes: int) -> None:
        """Let the first tunnel send messages of such sizes."""
        for size in sizes:
            self.end(1).write(b"x" * size)

    def state(self) -> tuple[list[int], bool, bool]:
        """What was told, and whether link and process are brisk."""
        told = self.told[:]
        self.told.clear()
        return told, self.stream.brisk, self.ledger.brisk

    def test_small_messages(self) -> None:
        """Two small ones in a row quicken the pace, in reads and on the link."""
        self.write(1)
        self.assertEqual(self.state(), ([], False, False))
        self.write(LITTLE)
        self.assertEqual(self.state(), ([READ], True, True))
        self.write(1, 1)
        self.assertEqual(self.state(), ([], True, True))

    def test_bulk(self) -> None:
        """Large ones do not, nor do the small rests among them."""
        self.write(LITTLE + 1, 10, LITTLE + 1, 1, LITTLE + 1)
        self.assertEqual(self.state(), ([], False, False))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_of_several_tunnels(self) -> None:
        """One message each of many tunnels is no reason, as when all are opened and closed."""
        for connect_id in range(2, 10):
            self.tunnel(connect_id)
            self.end(connect_id).write(b"request")
        self.assertEqual(self.state(), ([], False, False))

    def test_goes_on(self) -> None:
        """It lasts while they pass, and no longer than two looks beyond the last."""
        self.write(1, 1)
        self.state()
        for _ in range(3):
            self.write(1)
            self.clock.advance(HOLD)
        self.assertEqual(self.state(), ([], True, True))
        self.clock.advance(HOLD)
        self.assertEqual(self.state(), ([WHOLE], False, False))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_begins_again(self) -> None:
        """The next small one of a tunnel that had two quickens it at once."""
        self.write(1, 1)
        self.clock.advance(HOLD)
        self.assertEqual(self.state(), ([READ, WHOLE], False, False))
        self.write(1)
        self.assertEqual(self.state(), ([READ], True, True))

    def test_links_that_come_later(self) -> None:
        """A link that has come since makes way from the next look on."""
        self.links = []
        self.write(1, 1)
        self.assertEqual(self.state(), ([READ], False, True))
        self.links = [self.link]
        self.write(1)
        self.clock.advance(HOLD)
        self.assertEqual(self.state(), ([], True, True))

    def test_stopped(self) -> None:
        """Behind its end nothing is left, and nothing begins again."""
        self.write(1, 1)
        self.pace.stop()
        self.assertEqual(self.state(), ([READ, WHOLE], False, False))
        self.write(1, 1)
        self.pace.stop()
        self.assertEqual(self.state(), ([], False, False))
        self.assertEqual(self.clock.getDelayedCalls(), [])
