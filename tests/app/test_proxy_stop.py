"""Tests of konnect.app.proxy_stop: what a stopping proxy waits for."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.app import proxy_stop
from konnect.app.proxy_stop import FAREWELL, LIMIT, MOMENT, ProxyStop
from konnect.proxy.dialing import Switchboard
from konnect.proxy.link import AgentLink
from konnect.tunnel.backlog import Backlog
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.routing import Registry
from konnect.tunnel.waiting import MESSAGES, STREAMS, TRANSPORTS
from tests.fakes import FakeLog

GRACEFUL = 60.0


class Ports:
    """Listeners that are closed at once."""

    async def close(self, spare: tuple[str, ...] = ()) -> None:
        pass


class Connection:
    """A client's connection that holds bytes, and goes when it is closed."""

    def __init__(self) -> None:
        self.waiting: dict[str, int] = {}
        self.closes = True
        """Whether it goes when it is asked."""
        self.asked = False
        self.closed = False

    def count_waiting(self, waiting: dict[str, int]) -> None:
        for place, size in self.waiting.items():
            waiting[place] += size

    def close(self, why: str) -> None:
        self.asked = True
        self.closed = self.closes

    def abort(self) -> None:
        self.closed = True


class StopTests(SynchronousTestCase):
    """A proxy whose last tunnel has ended."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(self.clock.seconds)
        self.client = Connection()
        registry: Registry[AgentLink] = Registry()
        ports: Any = Ports()
        log = FakeLog()
        self.lines = log.lines
        self.patch(proxy_stop, "log", log)
        self.stop = ProxyStop(
            clock=self.clock,
            ledger=self.ledger,
            switchboard=Switchboard(registry, self.ledger, self.clock, dial_timeout=0),
            registry=registry,
            listeners=ports,
            clients=self.clients,
            agents=list,
            delay=0.0,
            graceful=GRACEFUL,
        )

    def clients(self) -> list[Any]:
        """The client's connection, while there is one."""
        return [] if self.client.closed else [self.client]

    def run_for(self, seconds: float) -> Deferred[None]:
        """Begin to stop, and let so much time pass."""
        stopping = Deferred.fromCoroutine(self.stop.run())
        self.pass_time(seconds)
        return stopping

    def pass_time(self, seconds: float) -> None:
        """As a reactor sees it."""
        self.clock.pump([0.1] * round(seconds / 0.1))

    def test_nothing_waits(self) -> None:
        """Without a tunnel or a byte that waits there is nothing to wait for."""
        self.client.waiting[MESSAGES] = 1
        self.successResultOf(self.run_for(FAREWELL))
        self.assertTrue(self.client.closed)

    def test_the_rest_of_tunnels_that_have_ended(self) -> None:
        """What a tunnel's slow reader has not taken yet is not cut off while there is time."""
        backlog = Backlog(self.ledger)
        backlog.put(b"rest")
        stopping = self.run_for(2 * FAREWELL)
        self.assertFalse(self.client.closed)
        backlog.drop()
        for place in (STREAMS, TRANSPORTS):
            self.client.waiting = {place: 1}
            self.pass_time(2 * FAREWELL)
            self.assertFalse(self.client.closed)
        self.client.waiting = {}
        self.pass_time(1)
        self.successResultOf(stopping)

    def test_no_longer_than_there_is_time(self) -> None:
        """A reader that takes nothing is waited for until the time is up."""
        self.client.waiting[STREAMS] = 1
        stopping = self.run_for(GRACEFUL - 1)
        self.assertFalse(self.client.closed)
        self.pass_time(2 + FAREWELL)
        self.successResultOf(stopping)
        self.assertTrue(self.client.closed)

    def test_what_is_cut(self) -> None:
        """Tunnels that are cut are counted in a line; bytes alone, as of our own GOAWAY, are not
        called tunnels."""
        self.client.waiting[STREAMS] = 1
        self.successResultOf(self.run_for(GRACEFUL + 2 * FAREWELL))
        self.assertEqual(self.lines, [])
        self.setUp()
        self.ledger.dial_seconds.counts[0] = 2
        self.successResultOf(self.run_for(GRACEFUL + 2 * FAREWELL))
        self.assertEqual(
            self.lines, ["2 tunnels and 0 dials are cut: the time to stop is over (60 s)"]
        )

    def test_hurried(self) -> None:
        """After a second signal a connection has a moment to take what waits for it, and another
        to be closed; then it is dropped."""
        self.client.waiting[STREAMS] = 1
        self.client.closes = False
        stopping = self.run_for(1)
        self.stop.hurry()
        self.ledger.grpc_streams["Proxy"] = 1
        self.pass_time(MOMENT)
        self.assertFalse(self.client.asked)
        self.pass_time(0.1)
        self.assertTrue(self.client.asked)
        self.assertNoResult(stopping)
        self.pass_time(MOMENT + 0.1)
        self.assertTrue(self.client.closed)
        self.successResultOf(stopping)

    def test_hurried_late(self) -> None:
        """A second signal ends the last waits, too."""
        self.client.closes = False
        stopping = self.run_for(LIMIT / 2)
        self.assertNoResult(stopping)
        self.stop.hurry()
        self.pass_time(0.1)
        self.successResultOf(stopping)
