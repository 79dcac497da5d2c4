"""The health ports of both programs, asked over HTTP."""

from __future__ import annotations

from twisted.web.client import Agent, readBody

from tests.functional.peers import echo
from tests.functional.rig import CONNECT_UNIX, GRPC_UNIX, FunctionalTestCase
from tests.functional.waiting import until


class HealthTests(FunctionalTestCase):
    """`/healthz`, `/readyz` and `/metrics`."""

    async def _get(self, port: int, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{port}{path}".encode()
        response = await Agent(self.reactor).request(b"GET", url)
        return response.code, (await readBody(response)).decode()

    async def _metric(self, port: int, sample: str) -> float:
        """The value of one sample, given as its whole left side."""
        status, text = await self._get(port, "/metrics")
        self.assertEqual(status, 200)
        for line in text.splitlines():
            key, _, value = line.rpartition(" ")
            if key == sample:
                return float(value)
        raise AssertionError(f"{sample} is not there:\n{text}")

    async def test_proxy_is_ready_with_an_agent(self) -> None:
        """A proxy lives from its start on, and is ready as long as it has an agent."""
        proxy = self.proxy()
        port = proxy.health_port
        self.assertEqual(await self._get(port, "/healthz"), (200, "ok"))
        status, text = await self._get(port, "/readyz")
        self.assertEqual(status, 500)
        self.assertIn("no connection to any proxy agent", text)
        agent = self.agent(proxy)
        await self.linked(proxy)
        self.assertEqual(await self._get(port, "/readyz"), (200, "ok"))
        self.assertEqual(await self._get(port, "/ready"), (200, "ok"))
        await agent.stop()
        await self.linked(proxy, 0)
        self.assertEqual((await self._get(port, "/readyz"))[0], 500)
        self.assertEqual((await self._get(port, "/healthz"))[0], 200)

    async def test_agent_is_ready_with_a_proxy(self) -> None:
        """An agent lives from its start on, and is ready as long as it has a proxy."""
        proxy, agent = await self.pair()
        port = agent.health_port
        await until(lambda: agent.sessions, "the agent's side of the link")
        self.assertEqual((await self._get(port, "/readyz"))[0], 200)
        await proxy.crash()
        await until(lambda: not agent.sessions, "the agent lost its proxy")
        status, text = await self._get(port, "/readyz")
        self.assertEqual(status, 503)
        self.assertIn("[-]server-connected failed: no servers connected", text)
        self.assertEqual((await self._get(port, "/healthz"))[0], 200)

    async def test_unknown_page(self) -> None:
        """Any other path is upstream's 404."""
        proxy, agent = await self.pair()
        for port in (proxy.health_port, agent.health_port):
            self.assertEqual(await self._get(port, "/nonsense"), (404, "404 page not found\n"))

    async def test_metrics(self) -> None:
        """Dials, packets and connections are counted under upstream's names."""
        proxy, agent = await self.pair()
        server = "konnectivity_network_proxy_server_"
        client, _ = await self.tunnel(proxy, GRPC_UNIX, self.destination(echo))
        other, _ = await self.tunnel(proxy, CONNECT_UNIX, self.destination(echo))
        port = proxy.health_port
        self.assertEqual(await self._metric(port, f"{server}http_connections"), 1)
        self.assertEqual(await self._metric(port, "konnect_openings_total"), 1)
        self.assertEqual(await self._metric(port, "konnect_openings_read_anew_total"), 1)
        self.assertEqual(await self._metric(port, f"{server}pending_backend_dials"), 0)
        self.assertEqual(await self._metric(port, f"{server}ready_backend_connections"), 1)
        self.assertEqual(
            await self._metric(
                agent.health_port, "konnectivity_network_proxy_agent_open_server_connections"
            ),
            1,
        )
        self.assertEqual(
            await self._metric(
                agent.health_port, "konnectivity_network_proxy_agent_open_endpoint_connections"
            ),
            2,
        )
        client.transport.loseConnection()
        other.transport.loseConnection()
        await self.nothing_left()
        self.assertEqual(await self._metric(port, f"{server}http_connections"), 0)
        self.assertEqual(
            await self._metric(
                agent.health_port, "konnectivity_network_proxy_agent_open_endpoint_connections"
            ),
            0,
        )
