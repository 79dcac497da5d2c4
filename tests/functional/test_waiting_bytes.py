"""`konnect_waiting_bytes` tells each place where bytes wait, at both programs, as it is scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.web.client import Agent, readBody

from konnect.tunnel.waiting import BACKLOGS, MESSAGES, PLACES, STREAMS, TRANSPORTS
from tests.functional.peers import Peer, Source, deaf, sending
from tests.functional.raw import raw_connect
from tests.functional.rig import CONNECT_UNIX, GRPC_UNIX, AgentRig, FunctionalTestCase, ProxyRig
from tests.functional.waiting import pause

HALF_A_MESSAGE = b"\0\0\x69\0\0\0\0\0\x01" + b"\0\0\0\0\xc8" + b"\xff" * 100
"""DATA (RFC 9113 section 6.1) on stream 1, with a message that announces 200 bytes, and 100."""


def _endless(peer: Peer) -> None:
    Source(peer, None)


class WaitingBytesTests(FunctionalTestCase):
    """Each place, filled in the way that only it is meant for."""

    async def _waiting(self, rig: ProxyRig | AgentRig) -> dict[str, float]:
        url = f"http://127.0.0.1:{rig.health_port}/metrics".encode()
        response = await Agent(self.reactor).request(b"GET", url)
        lines = (await readBody(response)).decode().splitlines()
        samples = dict(line.rsplit(" ", 1) for line in lines if "konnect_waiting_bytes{" in line)
        return {
            place: float(samples[f'konnect_waiting_bytes{{where="{place}"}}']) for place in PLACES
        }

    async def _comes(
        self,
        rig: ProxyRig | AgentRig,
        *places: str,
        enough: Callable[[Iterable[bool]], bool] = all,
    ) -> None:
        """Wait until something waits in these places."""
        waiting: dict[str, float] = {}
        for _ in range(300):
            waiting = await self._waiting(rig)
            if enough(waiting[place] > 0 for place in places):
                return
            await pause(0.05)
        raise AssertionError(f"{rig.name}: nothing waits in some of {places}: {waiting}")

    async def _nothing(self, rig: ProxyRig | AgentRig) -> None:
        """Wait until nothing waits any more."""
        for _ in range(300):
            if not any((await self._waiting(rig)).values()):
                return
            await pause(0.05)
        raise AssertionError(f"{rig.name}: {await self._waiting(rig)}")

    async def test_a_proxys_clients(self) -> None:
        """A CONNECT client that reads nothing: its transport and its backlog; a gRPC client: its
        stream's queue as well."""
        for way, places in (
            (CONNECT_UNIX, (BACKLOGS, TRANSPORTS)),
            (GRPC_UNIX, (BACKLOGS, STREAMS)),
        ):
            proxy, agent = await self.pair()
            await self._nothing(proxy)
            client, _ = await self.tunnel(proxy, way, self.destination(sending(None)), deaf)
            await self._comes(proxy, *places)
            client.transport.abortConnection()
            await self._nothing(proxy)
            await agent.stop()

    async def test_an_agents_destinations(self) -> None:
        """A destination that reads nothing: its transport and its backlog."""
        proxy, agent = await self.pair()
        await self._nothing(agent)
        client, server = await self.tunnel(proxy, CONNECT_UNIX, self.destination(deaf), _endless)
        await self._comes(agent, BACKLOGS, TRANSPORTS)
        client.transport.abortConnection()
        server.transport.abortConnection()
        await self._nothing(agent)

    async def test_a_link_that_is_not_read(self) -> None:
        """What an agent has sent and its proxy does not read waits in the link's transport, or in
        its stream: the kernel may have room for all that a path is given."""
        proxy, agent = await self.pair()
        (link,) = proxy.service.registry.links()
        destination = self.destination(sending(None))
        clients = [(await self.tunnel(proxy, CONNECT_UNIX, destination))[0] for _ in range(4)]
        link.stream.transport.pauseProducing()  # type: ignore[attr-defined]
        await self._comes(agent, STREAMS, TRANSPORTS, enough=any)
        link.stream.transport.resumeProducing()  # type: ignore[attr-defined]
        for client in clients:
            client.transport.abortConnection()
        await self._nothing(agent)

    async def test_what_is_not_whole(self) -> None:
        """Half a request at a proxy, half a message at an agent."""
        proxy, agent = await self.pair()
        client = await raw_connect(proxy.endpoint(CONNECT_UNIX))
        client.transport.write(b"CONNECT host:80 HT")
        await self._comes(proxy, MESSAGES)
        client.transport.abortConnection()
        await self._nothing(proxy)
        (link,) = proxy.service.registry.links()
        link.stream.transport.write(HALF_A_MESSAGE)
        await self._comes(agent, MESSAGES)
        await agent.crash()
