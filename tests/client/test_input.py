"""Tests of konnect.client.input; how a transport uses it is in test_tunnel_transport."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.client.input import Input


class InputTests(SynchronousTestCase):
    """What is delivered, and what window is given back for it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.delivered: list[bytes] = []
        self.given_back = 0
        self.ends = 0
        self.input = Input(self.clock, self.delivered.append, self.give_back, self.end)

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def give_back(self, cost: int) -> None:
        self.given_back += cost

    def end(self) -> None:
        self.ends += 1

    def test_passes_through(self) -> None:
        """Bytes are delivered at once and paid for at once; so is the end."""
        self.input.received(b"one", 10)
        self.assertEqual((self.delivered, self.given_back), ([b"one"], 10))
        self.input.end()
        self.assertEqual(self.ends, 1)

    def test_paused(self) -> None:
        """While paused nothing is delivered and no window given back, not even for the end."""
        self.input.pause()
        self.input.received(b"one", 10)
        self.input.end()
        self.assertEqual((self.delivered, self.given_back, self.ends), ([], 0, 0))
        self.input.resume()
        self.input.resume()
        self.clock.advance(0)
        self.assertEqual((self.delivered, self.given_back, self.ends), ([b"one"], 10, 1))

    def test_end_without_bytes(self) -> None:
        """An end that finds the protocol paused waits, even if nothing is held."""
        self.input.pause()
        self.input.end()
        self.assertEqual(self.ends, 0)
        self.input.resume()
        self.clock.advance(0)
        self.assertEqual(self.ends, 1)

    def test_bytes_before_the_held_ones_are_delivered(self) -> None:
        """What comes between resume and the next turn queues behind what is held."""
        self.input.pause()
        self.input.received(b"one", 1)
        self.input.resume()
        self.input.received(b"two", 1)
        self.assertEqual(self.delivered, [])
        self.clock.advance(0)
        self.assertEqual(self.delivered, [b"one", b"two"])

    def test_paused_again_before_the_turn(self) -> None:
        """A resume that is taken back delivers nothing."""
        self.input.pause()
        self.input.received(b"one", 1)
        self.input.resume()
        self.input.pause()
        self.clock.advance(0)
        self.assertEqual(self.delivered, [])
        self.input.drop()

    def test_dropped(self) -> None:
        """After drop everything is paid for and nothing delivered; the end is told at once."""
        self.input.pause()
        self.input.received(b"one", 10)
        self.input.resume()
        self.input.drop()
        self.input.received(b"two", 5)
        self.assertEqual((self.delivered, self.given_back), ([], 15))
        self.input.end()
        self.assertEqual(self.ends, 1)
