"""Tests of konnect.tunnel.backlog."""

from __future__ import annotations

from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.backlog import Backlog
from konnect.tunnel.ends import Bytes
from konnect.tunnel.ledger import Ledger


class BacklogTests(SynchronousTestCase):
    """A queue of bytes that the books know of."""

    def setUp(self) -> None:
        self.ledger = Ledger(lambda: 0.0)
        self.backlog = Backlog(self.ledger)

    def test_order(self) -> None:
        """Bytes come out in the order they went in, cut where it is asked."""
        self.backlog.put(b"abc")
        self.backlog.put(b"de")
        self.assertEqual(self.backlog.size, 5)
        self.assertEqual(self.backlog.take(2), b"ab")
        self.assertEqual(self.backlog.take(100), b"c")
        self.assertEqual(self.backlog.take(2), b"de")
        self.assertEqual(self.backlog.take(2), b"")
        self.assertEqual(self.backlog.size, 0)

    def test_books(self) -> None:
        """All backlogs together are what the ledger has as buffered."""
        other = Backlog(self.ledger)
        self.backlog.put(b"abc")
        other.put(b"defg")
        self.assertEqual(self.ledger.buffered, 7)
        self.backlog.take(1)
        self.assertEqual(self.ledger.buffered, 6)
        other.drop()
        self.assertEqual(self.ledger.buffered, 2)
        self.assertEqual(other.size, 0)
        self.backlog.drop()
        self.backlog.drop()
        self.assertEqual(self.ledger.buffered, 0)

    def test_parts(self) -> None:
        """A part is a view of its piece, until what is left is less than half of that: then it is
        copied, and lets go of the piece."""
        piece = bytes(range(200)) * 5
        self.backlog.put(piece)
        parts = [self.backlog.take(size) for size in (300, 150, 150, 200, 100)]
        self.assertEqual([*map(len, map(_whole, parts))], [1000, 1000, 1000, 400, 200])
        self.assertEqual(b"".join((*parts, self.backlog.take(100))), piece)


def _whole(part: Bytes) -> bytes:
    """What a part keeps alive."""
    return part if isinstance(part, bytes) else cast(bytes, part.obj)
