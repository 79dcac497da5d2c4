"""Tests of konnect.net.keepalive."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.keepalive import ANSWER_TIMEOUT, TICKS, Keepalive

IDLE = 40.0


class KeepaliveTests(SynchronousTestCase):
    """Pings after idleness, an end after silence."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[str] = []
        self.keepalive = self.make(IDLE)
        self.keepalive.start()

    def make(self, idle: float) -> Keepalive:
        """A watch that notes its calls."""
        return Keepalive(
            self.clock,
            idle,
            lambda: self.told.append("ping"),
            lambda: self.told.append("silent"),
        )

    def tearDown(self) -> None:
        self.keepalive.stop()
        self.keepalive.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def tick(self, count: int = 1) -> None:
        """Let quarters of the idle time pass."""
        for _ in range(count):
            self.clock.advance(IDLE / TICKS)

    def test_idle(self) -> None:
        """An idle connection is asked after the idle time, and not before."""
        self.tick(TICKS - 1)
        self.assertEqual(self.told, [])
        self.tick()
        self.assertEqual(self.told, ["ping"])

    def test_traffic(self) -> None:
        """Any receipt begins the idle time anew, to a quarter's precision."""
        self.tick(TICKS - 1)
        self.keepalive.heard = True
        self.tick(TICKS)
        self.assertEqual(self.told, [])
        self.tick()
        self.assertEqual(self.told, ["ping"])

    def test_answered(self) -> None:
        """An answer in time keeps the connection, and the watch goes on."""
        self.tick(TICKS)
        self.keepalive.heard = True
        self.clock.advance(ANSWER_TIMEOUT)
        self.assertEqual(self.told, ["ping"])
        self.tick(TICKS)
        self.assertEqual(self.told, ["ping", "ping"])

    def test_silence(self) -> None:
        """No answer is told once."""
        self.tick(TICKS)
        self.clock.advance(ANSWER_TIMEOUT - 0.1)
        self.assertEqual(self.told, ["ping"])
        self.clock.advance(0.2)
        self.assertEqual(self.told, ["ping", "silent"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_while_waiting(self) -> None:
        """A watch that is stopped waits for no answer either."""
        self.tick(TICKS)
        self.keepalive.stop()
        self.clock.advance(ANSWER_TIMEOUT)
        self.assertEqual(self.told, ["ping"])

    def test_off(self) -> None:
        """An idle time of 0 watches nothing."""
        self.keepalive.stop()
        self.make(0.0).start()
        self.assertEqual(self.clock.getDelayedCalls(), [])
