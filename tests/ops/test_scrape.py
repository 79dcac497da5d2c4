"""Tests of konnect.ops.scrape: a long look is done in pieces, and nobody is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from konnect.ops.health import admin_site, health_site
from konnect.ops.metrics import agent_metrics, proxy_metrics
from konnect.ops.scrape import Scrape
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.waiting import PIECE, TRANSPORTS, Waiting
from tests.ops.web import connect

TURN = 0.001


class Turns(Clock):
    """As a reactor has it: what is asked for in one turn is done in the next at the earliest."""

    def callLater(self, delay: float, callable: Any, *args: object, **kw: object) -> Any:
        return super().callLater(max(delay, TURN), callable, *args, **kw)

    def turn(self, count: int = 1) -> None:
        """So many turns."""
        self.pump([TURN] * count)


class ScrapeTests(SynchronousTestCase):
    """Answers."""

    def setUp(self) -> None:
        """A look of three pieces."""
        self.clock = Turns()
        self.pauses = 2
        self.done = 0
        self.problem: Exception | None = None
        self.scrape = Scrape(self.look, self.give, self.clock)

    def look(self) -> Iterator[None]:
        """Two pauses, by default."""
        for _ in range(self.pauses):
            self.done += 1
            yield
        self.done += 1

    def give(self) -> bytes:
        """How many pieces had been done."""
        if self.problem is not None:
            raise self.problem
        return b"%d" % self.done

    def asked(self) -> Deferred[bytes]:
        """One that has to wait."""
        answer = self.scrape()
        assert isinstance(answer, Deferred)
        return answer

    def test_one_piece(self) -> None:
        """Where nothing pauses the answer is there at once."""
        self.pauses = 0
        self.assertEqual(self.scrape(), b"1")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pieces(self) -> None:
        """Each turn does one piece, and the answer comes behind the last."""
        answer = self.asked()
        self.assertEqual(self.done, 1)
        self.clock.turn()
        self.assertEqual(self.done, 2)
        self.assertNoResult(answer)
        self.clock.turn()
        self.assertEqual(self.successResultOf(answer), b"3")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_together(self) -> None:
        """Whoever asks during a look waits for that one; the next to ask begins another."""
        both = [self.asked(), self.asked()]
        self.clock.turn(2)
        self.assertEqual([self.successResultOf(each) for each in both], [b"3", b"3"])
        self.asked()
        self.assertEqual(self.done, 4)

    def test_left(self) -> None:
        """One who leaves takes nothing from the others; behind the last the look ends."""
        first, second = self.asked(), self.asked()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.clock.turn()
        self.assertEqual(self.done, 2)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_makes_another_leave(self) -> None:
        """What an answer sets off may be that another leaves."""
        first, second = self.asked(), self.asked()
        first.addCallback(lambda _: second.cancel())
        self.clock.turn(2)
        self.failureResultOf(second, CancelledError)

    def test_trouble(self) -> None:
        """What goes wrong is told to all who wait, and the next may ask again."""
        both = [self.asked(), self.asked()]
        self.problem = RuntimeError("no")
        self.clock.turn(2)
        for each in both:
            self.failureResultOf(each, RuntimeError)
        self.problem = None
        again = self.asked()
        self.clock.turn(2)
        self.assertEqual(self.successResultOf(again), b"6")


class Connection:
    """Holds a byte in its transport, and counts who asks."""

    asked = 0

    def count_waiting(self, waiting: dict[str, int]) -> None:
        self.asked += 1
        waiting[TRANSPORTS] += 1


class ManyConnectionsTests(SynchronousTestCase):
    """The page itself, with ten thousand connections."""

    def setUp(self) -> None:
        """What stands behind the page."""
        self.clock = Turns()
        self.connections = [Connection() for _ in range(10_000)]
        self.ledger = Ledger(lambda: 0.0)
        self.waiting = Waiting(self.ledger, lambda: self.connections)

    def places(self) -> dict[str, int]:
        """What the last look has found."""
        return dict(self.waiting.places)

    def asked(self) -> int:
        """How often a connection was looked at."""
        return sum(connection.asked for connection in self.connections)

    def test_bounded_turns(self) -> None:
        """No turn of the event loop looks at more than a piece of them, and the sum is right."""
        for site in (
            health_site(
                ready=lambda: (True, []),
                metrics=Scrape(
                    self.waiting.look, agent_metrics(self.ledger, dict, self.places), self.clock
                ),
                style="agent",
                reactor=self.clock,
            ),
            admin_site(
                metrics=Scrape(
                    self.waiting.look, proxy_metrics(self.ledger, dict, self.places), self.clock
                ),
                reactor=self.clock,
            ),
        ):
            before = self.asked()
            protocol, transport = connect(site)
            protocol.dataReceived(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while not transport.value():
                self.assertLessEqual(self.asked() - before, PIECE)
                before = self.asked()
                self.clock.turn()
            self.assertIn(b'konnect_waiting_bytes{where="transports"} 10000\n', transport.value())
            protocol.connectionLost(Failure(CancelledError()))
        self.assertEqual({connection.asked for connection in self.connections}, {2})

    def test_left(self) -> None:
        """A scraper that hangs up ends the look."""
        metrics = proxy_metrics(self.ledger, dict, self.places)
        site = admin_site(
            metrics=Scrape(self.waiting.look, metrics, self.clock), reactor=self.clock
        )
        protocol, _ = connect(site)
        protocol.dataReceived(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        protocol.connectionLost(Failure(CancelledError()))
        self.clock.advance(1)
        self.assertEqual(self.asked(), PIECE)
