"""A rolling restart of all proxies and agents under load, with clients that try nothing again.

Clients come through a balancer that sends them to the proxies which it last saw ready, as a
Kubernetes service does. Only tunnels that outlive the time to stop may be lost, and they are
counted. How fast that time passes is the test's decision: it does when whatever it is given for has
happened, so a slow machine changes nothing.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.client import Agent, readBody

from konnect.client.dialing import Dialer
from tests.functional.peers import Peer, echo
from tests.functional.rig import WAYS, AgentRig, FunctionalTestCase, ProxyRig
from tests.functional.waiting import pause, the_reactor, until

WORKERS = 6
POLL = 0.05

LOOK = 0.05
"""Seconds between two looks of the balancer at the proxies' readiness."""


class RollingRestartTests(FunctionalTestCase):
    """Two proxies and two agents, each restarted in its turn."""

    async def test_only_long_tunnels_are_lost(self) -> None:
        """Every short tunnel is whole; of the long ones each is ended, once, with a reason."""
        flags = {"server_count": "2", "graceful_shutdown_timeout": "60s", "shutdown_delay": "10s"}
        self.proxies = [self.proxy(**flags) for _ in range(2)]
        balancer = self.balancer(*self.proxies)
        agents = [self.agent(balancer, drain_timeout="30s") for _ in range(2)]
        for agent in agents:
            await self._linked_to_both(agent)
        self.whole = 0
        self.opening: Counter[ProxyRig] = Counter()
        self.lost: list[str] = []
        self.over = False
        self.ready = list(self.proxies)
        self.echoes = self.destination(echo)
        long = await self._long_tunnels()
        work = [Deferred.fromCoroutine(self._client(number)) for number in range(WORKERS)]
        work.append(Deferred.fromCoroutine(self._watch_readiness()))
        await self._some_load()
        for agent in agents:
            await self._restart_agent(agent)
            await self._some_load()
        self.assertTrue(all(client.lost for client in long))
        long += await self._long_tunnels()
        for proxy in self.proxies:
            await self._restart_proxy(proxy)
            await self._some_load()
        self.over = True
        for each in work:
            await each
        self.assertEqual(self.lost, [])
        await until(lambda: all(client.lost for client in long), "the long ones are over")
        ends = [service.ledger.closed_by_reason for rig in self.proxies for service in rig.services]
        self.assertEqual(sum(found["shutdown"] for found in ends), len(long))
        self.assertEqual(sum(found["agent_lost"] for found in ends), 0)
        for proxy in self.proxies:
            proxy.service.hurry()

    async def _some_load(self) -> None:
        before = self.whole
        await until(lambda: self.whole >= before + 10, "some load")

    async def _long_tunnels(self) -> list[Peer]:
        """A tunnel by each way that nobody ends."""
        return [
            (await self.tunnel(self.proxies[number % 2], way, self.echoes))[0]
            for number, way in enumerate(WAYS)
        ]

    async def _linked_to_both(self, agent: AgentRig) -> None:
        await until(lambda: len(agent.sessions) == 2, f"{agent.name} is linked to both proxies")

    async def _restart_agent(self, agent: AgentRig) -> None:
        """New dials go to the other; the time is up when only the long tunnels are left."""
        departure = agent.service.departure
        assert departure is not None
        departure.clock = clock = Clock()
        stopping = Deferred.fromCoroutine(agent.stop())
        await self._some_load()
        await self._until_rest(lambda: agent.live)
        await self._pass_time(clock, stopping)
        agent.start()
        await self._linked_to_both(agent)

    async def _restart_proxy(self, proxy: ProxyRig) -> None:
        """Clients go to the other before the door closes; then only the long tunnels are left."""
        proxy.service.stopping.clock = clock = Clock()
        stopping = Deferred.fromCoroutine(proxy.stop())
        await self._some_load()
        await until(lambda: proxy not in self.ready, "the balancer sees that it is not ready")
        await until(lambda: not self.opening[proxy], "who was sent to it has come in")
        while not proxy.service.switchboard.closing:
            clock.advance(POLL)
            await pause(0)
        await self._some_load()
        await self._until_rest(lambda: proxy.live)
        await self._pass_time(clock, stopping)
        proxy.start()
        await self.linked(proxy, 2)
        await until(lambda: proxy in self.ready, "the balancer sees it")

    async def _until_rest(self, count: Callable[[], int]) -> None:
        """Wait until a count of tunnels has not moved while clients opened many elsewhere."""
        before = -1
        while before != count():
            before = count()
            await self._some_load()

    async def _pass_time(self, clock: Clock, stopping: Deferred[None]) -> None:
        """Let the rest of the time to stop pass."""
        clock.advance(60)
        while not stopping.called:
            await pause(0.01)
            clock.advance(POLL)

    async def _client(self, number: int) -> None:
        """One short tunnel after another, until it is over."""
        chance = random.Random(number)
        while not self.over:
            proxy = chance.choice(self.ready)
            dialer = self.dialer(proxy, chance.choice(WAYS))
            try:
                await self._use(proxy, dialer, chance.randrange(1, 50_000))
                self.whole += 1
            except Exception as error:
                self.lost.append(f"{error!r} through {proxy.name}")
            await dialer.close()
            self._dialers.remove(dialer)

    async def _use(self, proxy: ProxyRig, dialer: Dialer, size: int) -> None:
        """Open a tunnel, send `size` bytes and hear them back."""
        self.opening[proxy] += 1
        try:
            client = await self.dial(dialer, self.echoes.port)
        finally:
            self.opening[proxy] -= 1
        client.transport.write(bytes(size))
        await until(lambda: client.count >= size or client.lost, "the echo")
        self.assertEqual(client.count, size)

    async def _watch_readiness(self) -> None:
        """The balancer's probe."""
        web = Agent(the_reactor(), connectTimeout=1)
        while not self.over:
            ready = []
            for proxy in self.proxies:
                url = f"http://127.0.0.1:{proxy.health_port}/readyz"
                try:
                    response = await web.request(b"GET", url.encode())
                    await readBody(response)
                except Exception:
                    continue
                if response.code == 200:
                    ready.append(proxy)
            self.ready = ready or self.ready
            await pause(LOOK)
