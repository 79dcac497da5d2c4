"""Between halves that are far apart a tunnel that is read fast may have more on its way."""

from __future__ import annotations

from konnect.tunnel.flow import FEATURES
from konnect.tunnel.growth import TIMES
from konnect.tunnel.ledger import Ledger
from tests.functional.peers import Peer, Source, digest, sending
from tests.functional.rig import CONNECT_UNIX, GRPC_UNIX, AgentRig, FunctionalTestCase, ProxyRig
from tests.functional.waiting import until

DELAY = 0.05
"""Seconds each way. So 512 KiB are doubled twice from 5 MB/s on, which a busy machine still carries
with all of this in one process."""

SIZE = 24 * 1024 * 1024


class LongPathTests(FunctionalTestCase):
    """A path that holds far more than 512 KiB."""

    async def far_pair(self) -> tuple[ProxyRig, AgentRig]:
        """A proxy and an agent at the two ends of it."""
        proxy = self.proxy()
        agent = self.agent(self.balancer(proxy, delay=DELAY))
        await self.linked(proxy)
        return proxy, agent

    async def moved(self, ledger: Ledger, reader: Peer) -> int:
        """All has come. By how much the window had grown."""
        most = 0

        def over() -> bool:
            nonlocal most
            most = max(most, ledger.grown)
            return reader.over

        await until(over, f"{SIZE} bytes", seconds=60)
        self.assertEqual((reader.count, reader.digest), (SIZE, digest(SIZE)))
        await until(lambda: not ledger.grown, "nothing is grown any more")
        return most

    async def test_down(self) -> None:
        """The proxy allows more to what clients read."""
        proxy, _ = await self.far_pair()
        for way in (CONNECT_UNIX, GRPC_UNIX):
            client, _ = await self.tunnel(proxy, way, self.destination(sending(SIZE)))
            most = await self.moved(proxy.service.ledger, client)
            self.assertGreater(most, FEATURES.credit)
            self.assertLess(most, TIMES * FEATURES.credit)

    async def test_up(self) -> None:
        """The agent allows more to what destinations read."""
        proxy, agent = await self.far_pair()
        for way in (CONNECT_UNIX, GRPC_UNIX):
            client, server = await self.tunnel(proxy, way, self.destination())
            Source(client, SIZE).then(client.transport.loseConnection)
            self.assertGreater(await self.moved(agent.service.ledger, server), FEATURES.credit)
