"""An agent and its proxies, for the tests of the connector."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from konnect.agent import connector, search, server_count
from konnect.agent.connector import Connector
from konnect.agent.membership import Membership
from konnect.agent.server_count import ServerCount
from konnect.agent.ways import Way
from konnect.tunnel.ledger import Ledger
from tests.agent.rig import FakeDialer, FakeProxy
from tests.fakes import FakeLog

INTERVAL = 1.0
CAP = 10.0
TICK = 0.125


@implementer(IStreamClientEndpoint)
class Balancer:
    """An endpoint that leads to one of several proxies."""

    def __init__(self, take: Callable[[], FakeProxy]) -> None:
        self.take = take

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        return self.take().connect(factory)


class ConnectorTestCase(SynchronousTestCase):
    """An agent and its proxies; jitter stands still, `stop` must leave nothing."""

    sync_forever = False
    sync_interval = INTERVAL
    keepalive_time = 0.0
    token_path = ""

    def setUp(self) -> None:
        self.patch(random, "random", lambda: 0.0)
        self.clock = Clock()
        self.ledger = Ledger(self.clock.seconds, agent=True)
        self.dialer = FakeDialer()
        log = FakeLog()
        self.lines = log.lines
        for module in (connector, search, server_count):
            self.patch(module, "log", log)
        self.proxies: list[FakeProxy] = []
        self.counts: ServerCount | None = None

    def begin(self, *proxies: FakeProxy) -> Connector:
        """Start an agent that has a way to each of these proxies."""
        return self.begin_at(proxies, *(Way(proxy) for proxy in proxies))

    def begin_behind(self, proxies: Sequence[FakeProxy], take: Callable[[], FakeProxy]) -> None:
        """Start an agent whose only way leads to the proxy that `take` chooses each time."""
        self.begin_at(proxies, Way(Balancer(take)))

    def begin_at(self, proxies: Sequence[FakeProxy], *ways: Way) -> Connector:
        """Start an agent with these ways."""
        self.proxies = list(proxies)
        self.connector = Connector(
            ways,
            Membership(
                "a",
                "host=h",
                self.sync_interval,
                CAP,
                self.sync_forever,
                keepalive_time=self.keepalive_time,
                token_path=self.token_path,
            ),
            self.ledger,
            self.dialer,
            self.clock,
            counts=self.counts,
        )
        self.connector.start()
        self.run_wires()
        return self.connector

    def proxy(self, server_id: str = "s-1", count: int = 1) -> FakeProxy:
        """A proxy that is up."""
        return FakeProxy(server_id, count)

    def run_wires(self) -> None:
        """Carry everything."""
        for proxy in self.proxies:
            proxy.run()

    def wait(self, seconds: float) -> None:
        """Let time pass, in ticks that add up to whole seconds exactly."""
        for _ in range(round(seconds / TICK)):
            self.clock.advance(TICK)
            self.run_wires()

    def finish(self, waiting: Deferred[Any]) -> None:
        """Let `waiting` come to its end."""
        for _ in range(10):
            if waiting.called:
                break
            self.wait(TICK)
        self.successResultOf(waiting)

    def tearDown(self) -> None:
        self.finish(Deferred.fromCoroutine(self.connector.stop()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.connector.sessions, {})
        self.assertEqual(self.connector.leaving, [])
        self.assertEqual([proxy.live for proxy in self.proxies], [0] * len(self.proxies))
        self.assertEqual(self.ledger.pending_dials, 0)
        self.assertFalse([line for line in self.lines if "broke" in line])

    @property
    def connected(self) -> list[str]:
        """Server ids of the proxies that the agent is connected to."""
        return sorted(self.connector.sessions)
