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
        self.heard = False
        self.quiet_ticks = 0
        self.keepalive = Keepalive(self.clock, IDLE)
        self.keepalive.start(self)

    def ask(self) -> None:
        """See `Watched`, which this case is."""
        self.told.append("ping")

    def silent(self) -> None:
        """See `Watched`."""
        self.told.append("silent")

    def tearDown(self) -> None:
        self.keepalive.stop(self)
        self.keepalive.stop(self)
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
        self.heard = True
        self.tick(TICKS)
        self.assertEqual(self.told, [])
        self.tick()
        self.assertEqual(self.told, ["ping"])

    def test_answered(self) -> None:
        """An answer in time keeps the connection, and the watch goes on."""
        self.tick(TICKS)
        self.heard = True
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
        self.keepalive.stop(self)
        self.clock.advance(ANSWER_TIMEOUT)
        self.assertEqual(self.told, ["ping"])

    def test_off(self) -> None:
        """An idle time of 0 watches nothing."""
        self.keepalive.stop(self)
        Keepalive(self.clock, 0.0).start(self)
        self.assertEqual(self.clock.getDelayedCalls(), [])
