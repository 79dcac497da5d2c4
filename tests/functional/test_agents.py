"""How agents find, keep and leave their proxies."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from konnect.agent.departure import LAST_BYTES, QUIET
from konnect.client.errors import EndpointFailed
from tests.certificates import pki
from tests.functional.peers import Peer, echo
from tests.functional.rig import CONNECT_UNIX, GRPC_UNIX, WAYS, FunctionalTestCase, ProxyRig
from tests.functional.waiting import pause, steady, until

CHUNK = 65536
"""Bytes of an upload at a time, of which a tunnel's credit is several."""


class AgentTests(FunctionalTestCase):
    """Agents and proxies that come and go."""

    async def _works(self, proxy: ProxyRig, way: str = GRPC_UNIX) -> Peer:
        """A tunnel through `proxy` that echoes."""
        client, _ = await self.tunnel(proxy, way, self.destination(echo))
        client.transport.write(b"over there")
        await until(lambda: client.count == 10, "the echo")
        return client

    async def test_several_proxies_behind_one_address(self) -> None:
        """An agent finds all proxies that share an address, and misses one that goes."""
        proxies = [self.proxy(server_count="3") for _ in range(3)]
        balancer = self.balancer(*proxies)
        agent = self.agent(balancer)
        for proxy in proxies:
            await self.linked(proxy)
        await until(lambda: len(agent.sessions) == 3, "the agent's side of the links")
        for proxy in proxies:
            for way in WAYS:
                (await self._works(proxy, way)).transport.loseConnection()
        await self.nothing_left()

        balancer.ports.remove(proxies[0].agent_port)
        await proxies[0].stop()
        await until(lambda: len(agent.sessions) == 2, "the agent misses a proxy")
        new = self.proxy(server_count="3")
        balancer.ports.append(new.agent_port)
        await self.linked(new)
        await until(lambda: len(agent.sessions) == 3, "the agent's side of the links")
        for proxy in (*proxies[1:], new):
            (await self._works(proxy)).transport.loseConnection()
        await self.nothing_left()

    async def test_enough_is_enough(self) -> None:
        """An agent with as many links as there are proxies opens no further connection."""
        proxies = [self.proxy(server_count="2") for _ in range(2)]
        balancer = self.balancer(*proxies)
        agent = self.agent(balancer)
        await until(lambda: len(agent.sessions) == 2, "both are linked")
        accepted = balancer.accepted
        await pause(0.5)
        self.assertEqual(balancer.accepted, accepted)

    async def test_duplicates_are_dropped(self) -> None:
        """An agent that looks for more proxies than exist keeps one link to the one there is."""
        proxy = self.proxy(server_count="2")
        balancer = self.balancer(proxy)
        agent = self.agent(balancer)
        await self.linked(proxy)
        client = await self._works(proxy)
        await until(lambda: balancer.accepted >= 4, "some duplicates")
        self.assertEqual(len(agent.sessions), 1)
        client.transport.write(b"and again!")
        await until(lambda: client.count == 20, "the tunnel lives through them")
        client.transport.loseConnection()
        await self.nothing_left()

    async def test_proxy_restart(self) -> None:
        """An agent comes back to a proxy that is started again on the same port."""
        proxy, agent = await self.pair()
        (await self._works(proxy)).transport.loseConnection()
        await self.nothing_left()
        await proxy.crash()
        await until(lambda: not agent.sessions, "the agent lost its proxy")
        proxy.start()
        await self.linked(proxy)
        for way in WAYS:
            (await self._works(proxy, way)).transport.loseConnection()
        await self.nothing_left()

    async def test_network_cut(self) -> None:
        """An agent whose connections are reset comes back, and its tunnels are ended."""
        proxy = self.proxy()
        balancer = self.balancer(proxy)
        self.agent(balancer)
        await self.linked(proxy)
        client = await self._works(proxy, CONNECT_UNIX)
        balancer.cut()
        await until(lambda: client.lost, "the client learned it")
        await until(lambda: balancer.accepted >= 2, "the agent tries again")
        await self.linked(proxy)
        (await self._works(proxy)).transport.loseConnection()
        await self.nothing_left()

    async def test_proxy_that_comes_later(self) -> None:
        """An agent that was started before its proxy finds it."""
        proxy, agent = await self.pair()
        await agent.stop()
        await proxy.stop()
        agent.start()
        await pause(0.3)
        self.assertEqual(agent.sessions, [])
        proxy.start()
        await self.linked(proxy)
        (await self._works(proxy)).transport.loseConnection()
        await self.nothing_left()

    async def test_drain(self) -> None:
        """A stopping agent keeps its tunnels until they end; new dials take another agent."""
        proxy = self.proxy()
        leaving = self.agent(proxy, drain_timeout="60s")
        await self.linked(proxy)
        client = await self._works(proxy)
        staying = self.agent(proxy)
        await self.linked(proxy, 2)
        stopping = Deferred.fromCoroutine(leaving.stop())
        await until(
            lambda: any(link.draining for link in proxy.service.registry.links()), "DRAIN is known"
        )
        others = [await self._works(proxy, way) for way in WAYS * 2]
        self.assertEqual(staying.live, len(others))
        self.assertEqual(leaving.live, 1)
        client.transport.write(b"still here")
        await until(lambda: client.count == 20, "the old tunnel works")
        self.assertFalse(stopping.called)
        client.transport.loseConnection()
        await until(lambda: stopping.called, "the agent is gone with its last tunnel")
        await self.linked(proxy, 1)
        for other in others:
            other.transport.loseConnection()
        await self.nothing_left()

    async def test_only_agent_drains(self) -> None:
        """While the only agent drains, new dials still work through it."""
        proxy = self.proxy()
        agent = self.agent(proxy, drain_timeout="60s")
        await self.linked(proxy)
        client = await self._works(proxy)
        stopping = Deferred.fromCoroutine(agent.stop())
        await until(lambda: proxy.service.registry.links()[0].draining, "DRAIN is known")
        late = await self._works(proxy)
        client.transport.loseConnection()
        late.transport.loseConnection()
        await stopping

    async def test_drain_has_an_end(self) -> None:
        """A tunnel that outlives the drain time is ended, on both sides."""
        proxy = self.proxy()
        agent = self.agent(proxy, drain_timeout="300ms")
        await self.linked(proxy)
        client = await self._works(proxy)
        await agent.stop()
        await until(lambda: client.lost, "the client learned it")
        await self.nothing_left()

    async def test_drain_with_a_slow_destination(self) -> None:
        """An agent that goes waits for a destination that has not taken all of an upload."""
        proxy = self.proxy()
        agent = self.agent(proxy, drain_timeout="60s", linger_timeout="60s")
        await self.linked(proxy)
        destination = self.destination(Peer.hold).narrow()
        client, server = await self.tunnel(proxy, GRPC_UNIX, destination)
        books, size = agent.ledger, 0
        while not (books.buffered and await steady(lambda: books.buffered, "the kernels are full")):
            size += CHUNK
            client.transport.write(bytes(CHUNK))
            while books.bytes["to_destination"] < size:
                await pause(0)
        client.transport.loseConnection()
        await until(lambda: client.lost and not agent.live, "the tunnel is over")
        stopping = Deferred.fromCoroutine(agent.stop())
        await pause(QUIET + LAST_BYTES + 0.5)
        self.assertFalse(stopping.called)
        server.go_on()
        await until(lambda: server.over, "the destination's end")
        self.assertEqual(server.count, size)
        await stopping

    async def test_two_links_of_one_agent_id(self) -> None:
        """A second agent with the same id does not disturb the first, and serves when that goes."""
        proxy = self.proxy()
        first = self.agent(proxy, agent_id="twin")
        await self.linked(proxy)
        client = await self._works(proxy)
        second = self.agent(proxy, agent_id="twin")
        await self.linked(proxy, 2)
        self.assertEqual(proxy.service.ledger.ready_backends["default"], 1)
        client.transport.write(b"not broken")
        await until(lambda: client.count == 20, "the first tunnel works")
        await first.crash()
        await until(lambda: client.lost, "it ends with its agent")
        await self.linked(proxy, 1)
        (await self._works(proxy)).transport.loseConnection()
        self.assertEqual(second.service.ledger.opened, 1)
        await self.nothing_left()

    async def test_dials_spread_over_agents(self) -> None:
        """Dials take all agents, not always the same one."""
        proxy = self.proxy()
        agents = [self.agent(proxy) for _ in range(3)]
        await self.linked(proxy, 3)
        destination = self.destination()
        dialer = self.dialer(proxy, GRPC_UNIX, shared=True)
        for _ in range(60):
            await self.dial(dialer, destination.port)
        for agent in agents:
            self.assertGreater(agent.live, 0)


class BadCredentialsTests(FunctionalTestCase):
    """Agents and proxies that do not trust each other: they stay, try on, and serve nobody."""

    async def _stays_out(self, **flags: str) -> None:
        proxy = self.proxy()
        balancer = self.balancer(proxy)
        stranger = self.agent(balancer, **flags)
        await until(lambda: balancer.accepted >= 3, "the agent tries again and again")
        self.assertEqual(proxy.service.registry.links(), [])
        self.assertEqual(stranger.sessions, [])
        with self.assertRaises(EndpointFailed):
            await self.dial(self.dialer(proxy, GRPC_UNIX), 80)
        good = self.agent(proxy)
        await self.linked(proxy)
        client, _ = await self.tunnel(proxy, GRPC_UNIX, self.destination())
        self.assertEqual(good.live, 1)
        client.transport.loseConnection()
        await self.nothing_left()

    async def test_agent_with_a_foreign_certificate(self) -> None:
        """An agent whose certificate comes from another authority never gets a link."""
        files = pki()
        await self._stays_out(agent_cert=files.other_client_cert, agent_key=files.other_client_key)

    async def test_agent_with_an_expired_certificate(self) -> None:
        """An agent whose certificate has expired never gets a link."""
        files = pki()
        await self._stays_out(
            agent_cert=files.expired_agent_cert, agent_key=files.expired_agent_key
        )

    async def test_agent_that_trusts_another_authority(self) -> None:
        """An agent that does not trust the proxy's certificate never links to it."""
        await self._stays_out(ca_cert=pki().other_ca)

    async def test_agent_with_the_frontends_certificate(self) -> None:
        """A client's certificate is not an agent's."""
        files = pki()
        await self._stays_out(
            agent_cert=files.frontend_client_cert, agent_key=files.frontend_client_key
        )
