"""Strategies on real sockets: which agent carries a dial."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from konnect.client.errors import DialFailed
from tests.functional.peers import Destination, Peer
from tests.functional.rig import (
    CONNECT_UNIX,
    GRPC_UNIX,
    WAYS,
    AgentRig,
    FunctionalTestCase,
    ProxyRig,
)
from tests.functional.waiting import until


class StrategyTests(FunctionalTestCase):
    """`--proxy-strategies`."""

    async def _agent(self, proxy: ProxyRig, identifiers: str) -> AgentRig:
        """A linked agent that says this of itself."""
        links = len(proxy.service.registry.links())
        agent = self.agent(proxy, agent_identifiers=identifiers)
        await self.linked(proxy, links + 1)
        return agent

    async def _open(self, proxy: ProxyRig, way: str, to: Destination, host: str) -> Peer:
        """A tunnel to a destination by one of its hosts."""
        return await self.dial(self.dialer(proxy, way), to.port, host=host)

    async def test_in_turn(self) -> None:
        """The nearest agent carries a dial: by host, else by range, else the default route."""
        proxy = self.proxy(proxy_strategies="destHost,destCIDR,defaultRoute")
        near = await self._agent(proxy, "host=LocalHost.&ipv4=127.0.0.2")
        wide = await self._agent(proxy, "cidr=127.0.0.0%2F8")
        await self._agent(proxy, "")
        destination = self.destination()
        for way in WAYS:
            with self.assertRaises(DialFailed) as caught:
                await self._open(proxy, way, destination, "0.0.0.0")
            self.assertIn("No agent available", str(caught.exception))
        route = await self._agent(proxy, "default-route=true")
        for number, way in enumerate(WAYS, 1):
            for host in ("localhost", "127.0.0.1", "0.0.0.0"):
                await self._open(proxy, way, destination, host)
            self.assertEqual((near.live, wide.live, route.live), (number, number, number))
        backends = proxy.service.ledger.ready_backends
        self.assertEqual(backends, {"destHost": 2, "destCIDR": 1, "defaultRoute": 1})

    async def test_what_matches_nothing(self) -> None:
        """Both programs say which identifiers are of no use; those beside them are."""
        proxy = self.proxy(proxy_strategies="destHost,destCIDR")
        with capturedLogs() as events:
            agent = await self._agent(
                proxy, "host=there:80&cidr=10.0.0.0/99&ipv6=[::1]&cidr=::ffff:127.0.0.0/104"
            )
        lines = [formatEvent(event) for event in events]
        for who in ("--agent-identifiers: what", f"agent {agent.name} at "):
            (line,) = [line for line in lines if line.startswith(who) and "no destination" in line]
            self.assertIn("['host=there:80', 'cidr=10.0.0.0/99']", line)
        self.assertEqual(proxy.service.ledger.ready_backends, {"destHost": 2, "destCIDR": 1})
        await self._open(proxy, CONNECT_UNIX, self.destination(), "127.0.0.1")
        self.assertEqual(agent.live, 1)

    async def test_nobody_useful(self) -> None:
        """Agents that no strategy knows make a proxy neither ready nor useful."""
        proxy = self.proxy(proxy_strategies="destHost")
        await self._agent(proxy, "default-route=true")
        self.assertFalse(proxy.service.registry.ready)
        await self._agent(proxy, "host=somewhere")
        self.assertTrue(proxy.service.registry.ready)

    async def test_least_loaded(self) -> None:
        """With leastLoaded, tunnels are even over agents, also when one comes late."""
        proxy = self.proxy(proxy_strategies="default,leastLoaded")
        agents = [await self._agent(proxy, "") for _ in range(2)]
        first = proxy.service.registry.links()
        await until(lambda: not any(link.fresh for link in first), "the links are settled")
        destination = self.destination()
        dialer = self.dialer(proxy, GRPC_UNIX, shared=True)
        clients = [await self.dial(dialer, destination.port) for _ in range(8)]
        self.assertEqual([agent.live for agent in agents], [4, 4])
        late = await self._agent(proxy, "")
        # Settled links go before fresh ones, however many tunnels they carry.
        links = proxy.service.registry.links()
        await until(lambda: not any(link.fresh for link in links), "the links are settled")
        clients += [await self.dial(dialer, destination.port) for _ in range(4)]
        self.assertEqual([agent.live for agent in (*agents, late)], [4, 4, 4])
        for client in clients:
            client.transport.loseConnection()
        await self.nothing_left()

    async def test_a_draining_match(self) -> None:
        """While the match drains a later strategy's agent is taken; alone it goes on serving."""
        proxy = self.proxy(proxy_strategies="destHost,default")
        near = self.agent(proxy, agent_identifiers="ipv4=127.0.0.1", drain_timeout="60s")
        await self.linked(proxy)
        destination = self.destination()
        first = await self._open(proxy, CONNECT_UNIX, destination, "127.0.0.1")
        stopping = Deferred.fromCoroutine(near.stop())
        await until(lambda: proxy.service.registry.links()[0].draining, "DRAIN is known")
        alone = await self._open(proxy, CONNECT_UNIX, destination, "127.0.0.1")
        self.assertEqual(near.live, 2)
        other = await self._agent(proxy, "")
        await self._open(proxy, CONNECT_UNIX, destination, "127.0.0.1")
        self.assertEqual((near.live, other.live), (2, 1))
        first.transport.loseConnection()
        alone.transport.loseConnection()
        await stopping
