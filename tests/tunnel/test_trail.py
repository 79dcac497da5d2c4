"""Tests of konnect.tunnel.trail: whose bytes a peer may be waiting with."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.trail import LENGTH, LITTLE, Trail
from konnect.wire.framing import PREFIX_SIZE

SIZE = 10_000


class TrailTests(SynchronousTestCase):
    """Packets of some tunnels, one after the other."""

    def setUp(self) -> None:
        self.trail = Trail()

    def sent(self, *tunnels: int, size: int = SIZE) -> None:
        for tunnel in tunnels:
            self.trail.add(tunnel, size - PREFIX_SIZE)

    def test_nothing(self) -> None:
        self.assertEqual(self.trail.suspects(0, 10), [])
        self.assertEqual(self.trail.suspects(1000, 10), [])

    def test_order(self) -> None:
        """First those behind what was read, then the others from the last one on backwards."""
        self.sent(1, 2, 3, 4, 5)
        self.assertEqual(self.trail.suspects(2 * SIZE, 0), [4, 5, 3, 2, 1])
        self.assertEqual(self.trail.suspects(0, 0), [5, 4, 3, 2, 1])
        self.assertEqual(self.trail.suspects(10 * SIZE, 0), [1, 2, 3, 4, 5])

    def test_queue(self) -> None:
        """What was read may stand in the queue."""
        self.sent(1, 2, 3, 4, 5)
        self.assertEqual(self.trail.suspects(2 * SIZE, 2), [2, 3, 4, 5, 1])
        self.assertEqual(self.trail.suspects(2 * SIZE, 10), [1, 2, 3, 4, 5])

    def test_a_part(self) -> None:
        """A packet of which a part was read is not read."""
        self.sent(1, 2, 3)
        self.assertEqual(self.trail.suspects(SIZE + 1, 0), [2, 3, 1])

    def test_little(self) -> None:
        """Who was sent little comes last: the buffers in front of its reader have room for it."""
        self.sent(1, size=LITTLE - 1)
        self.sent(2, 3)
        self.sent(4, size=10)
        self.assertEqual(self.trail.suspects(4 * SIZE, 0), [2, 3, 1, 4])

    def test_each_once(self) -> None:
        """However many packets are a tunnel's; those of none are nobody's."""
        self.sent(1, 0, 2, 1, 0, 2)
        self.assertEqual(self.trail.suspects(10 * SIZE, 0), [1, 2])

    def test_bound(self) -> None:
        """The oldest are forgotten; the sum is not."""
        self.sent(1)
        self.sent(*[2] * LENGTH)
        self.assertEqual(self.trail.suspects(0, 0), [2])
        self.assertEqual(self.trail.total, (LENGTH + 1) * SIZE)
