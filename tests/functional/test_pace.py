"""While small messages pass, bulk moves in smaller pieces; both arrive whole."""

from __future__ import annotations

from konnect.net.hub.loop import hub_of
from konnect.net.hub.reads import SCRATCH
from tests.functional.peers import Source, digest, echo, mute, sending
from tests.functional.rig import WAYS, AgentRig, FunctionalTestCase, ProxyRig
from tests.functional.waiting import until

BULK = 8 * 1024 * 1024


class PaceTests(FunctionalTestCase):
    """A proxy and an agent with bulk both ways, and one that talks beside it."""

    def brisk(self, *programs: ProxyRig | AgentRig) -> list[bool]:
        """What each program says of itself."""
        return [program.ledger.brisk for program in programs]

    async def test_pace(self) -> None:
        """On each frontend."""
        proxy, agent = await self.pair()
        for way in WAYS:
            await self._talk_beside_bulk(proxy, agent, way)

    async def _talk_beside_bulk(self, proxy: ProxyRig, agent: AgentRig, way: str) -> None:
        talker, _ = await self.tunnel(proxy, way, self.destination(echo))
        down, _ = await self.tunnel(proxy, way, self.destination(sending(BULK)))
        up, sink = await self.tunnel(
            proxy, way, self.destination(mute), lambda peer: Source(peer, BULK)
        )
        self.assertEqual(self.brisk(proxy, agent), [False, False])
        seen = 0

        def over() -> bool:
            nonlocal seen
            seen = max(seen, sum(self.brisk(proxy, agent)))
            talker.transport.write(b"ping")
            return bool(down.over) and sink.count == BULK

        await until(over, "both transfers")
        self.assertEqual(seen, 2)
        self.assertLess(len(hub_of(self.reactor).scratch), SCRATCH)
        self.assertEqual((down.digest, sink.digest), (digest(BULK), digest(BULK)))
        await until(lambda: not any(self.brisk(proxy, agent)), "the usual pace")
        self.assertEqual(len(hub_of(self.reactor).scratch), SCRATCH)
        up.transport.loseConnection()
        talker.transport.loseConnection()
