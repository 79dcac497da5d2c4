"""An agent whose proxies have several addresses or several names, and how ready it is."""

from __future__ import annotations

import functools

from twisted.web.client import Agent, readBody

from tests.certificates import pki
from tests.functional.balancer import Balancer
from tests.functional.names import name_localhost
from tests.functional.peers import echo
from tests.functional.rig import GRPC_UNIX, AgentRig, FunctionalTestCase, ProxyRig
from tests.functional.waiting import until


class FindingTests(FunctionalTestCase):
    """Every proxy is found, whatever leads to it."""

    async def _readyz(self, agent: AgentRig) -> tuple[int, str]:
        url = f"http://127.0.0.1:{agent.health_port}/readyz?verbose".encode()
        response = await Agent(self.reactor).request(b"GET", url)
        return response.code, (await readBody(response)).decode()

    async def _works(self, proxy: ProxyRig) -> None:
        """A tunnel through `proxy` that echoes."""
        client, _ = await self.tunnel(proxy, GRPC_UNIX, self.destination(echo))
        client.transport.write(b"over there")
        await until(lambda: client.count == 10, "the echo")
        client.transport.loseConnection()

    async def test_all_addresses_of_a_name(self) -> None:
        """The proxies at all addresses of a name are linked, though each says that it is alone."""
        for transport in ("stock", "hub"):
            first = self.proxy(agent_bind_address="127.0.0.1")
            port = str(first.agent_port)
            others = [
                self.proxy(agent_bind_address=f"127.0.0.{n}", agent_port=port) for n in (2, 3)
            ]
            name_localhost(self, "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")
            self.agent(first, proxy_server_host="localhost", transport=transport)
            for proxy in (first, *others):
                await self.linked(proxy)
                await self._works(proxy)
            await self.nothing_left()

    async def test_several_names(self) -> None:
        """Each proxy that is named is linked; one that is down makes the quorum fail."""
        first, second = self.proxy(), self.proxy(agent_bind_address="127.0.0.2")
        agent = self.agent(
            first,
            proxy_server_host="127.0.0.1,localhost",
            agent_endpoint=self._endpoint(second),
            ready_quorum="all",
        )
        await self.linked(first)
        await self.linked(second)
        await until(lambda: len(agent.sessions) == 2, "the agent's side of the links")
        status, text = await self._readyz(agent)
        while "2 expected" not in text:  # until both names are known to be one proxy's
            status, text = await self._readyz(agent)
        self.assertEqual(status, 200)
        self.assertIn("[+]servers ok: 2 connected, 2 expected, 2 known\n", text)
        await second.crash()
        await until(lambda: len(agent.sessions) == 1, "the agent lost a proxy")
        status, text = await self._readyz(agent)
        self.assertEqual(status, 503)
        self.assertIn("[-]server-connected failed: 1 of 2 servers connected\n", text)
        second.start()
        await self.linked(second)
        await until(lambda: len(agent.sessions) == 2, "the agent's side of the links")
        self.assertEqual((await self._readyz(agent))[0], 200)

    async def test_a_balancer_without_a_proxy(self) -> None:
        """An agent whose balancer hangs up does not wait longer and longer."""

        def tried(balancer: Balancer) -> bool:
            return balancer.accepted >= 25

        for transport in ("stock", "hub"):
            balancer = self.balancer()
            self.agent(balancer, transport=transport, sync_interval_cap="10m")
            # Waits that grew by half would add up to hours.
            await until(functools.partial(tried, balancer), "25 tries")

    @staticmethod
    def _endpoint(proxy: ProxyRig) -> str:
        files = pki()
        return (
            f"mtls:127.0.0.2:{proxy.agent_port}:servername=localhost:alpn=h2:ca={files.agent_ca}"
            f":cert={files.agent_cert}:key={files.agent_key}"
        )
