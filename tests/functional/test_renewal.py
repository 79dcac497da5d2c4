"""TLS files that change under running programs, on both transports."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.certificates import pki
from tests.functional.peers import Peer, echo
from tests.functional.rig import GRPC_UNIX, FunctionalTestCase
from tests.functional.waiting import until

OFTEN = "20ms"


class RenewalTests(FunctionalTestCase):
    """A change of authority, certificate and key, first at the proxy, then at an agent."""

    def _files(self, name: str, *sources: str) -> list[str]:
        """Copies of certificate, key and authority, to be replaced."""
        folder = Path(self.directory, name)
        folder.mkdir()
        return [shutil.copy(source, str(folder / str(n))) for n, source in enumerate(sources)]

    def _replace(self, files: list[str], *sources: str) -> None:
        for file, source in zip(files, sources, strict=True):
            shutil.copy(source, file + ".new")
            Path(file + ".new").rename(file)

    async def _echoes(self, client: Peer) -> None:
        before = client.count
        client.transport.write(b"still there")
        await until(lambda: client.count == before + 11, "the echo")

    async def _change(self, transport: str) -> None:
        p = pki()
        at_proxy = self._files(
            f"proxy-{transport}", p.agent_server_cert, p.agent_server_key, p.agent_ca
        )
        at_agent = self._files(f"agent-{transport}", p.agent_cert, p.agent_key, p.agent_ca)
        proxy = self.proxy(
            transport=transport,
            tls_reload_interval=OFTEN,
            cluster_cert=at_proxy[0],
            cluster_key=at_proxy[1],
            cluster_ca_cert=at_proxy[2],
        )
        agent = self.agent(
            proxy,
            transport=transport,
            tls_reload_interval=OFTEN,
            agent_cert=at_agent[0],
            agent_key=at_agent[1],
            ca_cert=at_agent[2],
        )
        await self.linked(proxy)
        client, _ = await self.tunnel(proxy, GRPC_UNIX, self.destination(echo))

        self._replace(at_proxy, p.other_server_cert, p.other_server_key, p.other_ca)
        self.agent(
            proxy, ca_cert=p.other_ca, agent_cert=p.other_client_cert, agent_key=p.other_client_key
        )
        await self.linked(proxy, 2)
        await self._echoes(client)

        # Where its link is cut, the first agent does not get through before its files change too.
        (session,) = agent.sessions
        session.protocol.abort()
        await self.linked(proxy, 1)
        self._replace(at_agent, p.other_client_cert, p.other_client_key, p.other_ca)
        await self.linked(proxy, 2)
        await until(lambda: agent.sessions, "the agent's side of the link")
        self.assertGreaterEqual(agent.ledger.tls_renewals["taken"], 1)

    async def test_stock(self) -> None:
        """On Twisted's transports: new links use the new files, tunnels of old ones go on."""
        await self._change("stock")

    async def test_hub(self) -> None:
        """On the hub it is the same."""
        await self._change("hub")
