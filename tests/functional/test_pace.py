"""While small messages pass, bulk moves in smaller pieces; both arrive whole."""

from __future__ import annotations

from konnect.net.hub.loop import SCRATCH, hub_of
from tests.functional.peers import Source, digest, echo, mute, sending
from tests.functional.rig import (
    CONNECT_TLS,
    CONNECT_UNIX,
    GRPC_TLS,
    GRPC_UNIX,
    AgentRig,
    FunctionalTestCase,
    ProxyRig,
)
from tests.functional.waiting import until

MIB = 1024 * 1024

BULK = 8 * MIB


class PaceTests(FunctionalTestCase):
    """On each frontend; here CONNECT over a unix socket, the others are below."""

    way = CONNECT_UNIX

    def brisk(self, *programs: ProxyRig | AgentRig) -> list[bool]:
        """What each program says of itself."""
        return [program.ledger.brisk for program in programs]

    async def test_pace(self) -> None:
        proxy, agent = await self.pair()
        talker, _ = await self.tunnel(proxy, self.way, self.destination(echo))
        down, _ = await self.tunnel(proxy, self.way, self.destination(sending(BULK)))
        up, sink = await self.tunnel(
            proxy, self.way, self.destination(mute), lambda peer: Source(peer, BULK)
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


class PaceOverTls(PaceTests):
    way = CONNECT_TLS


class PaceOverGrpcUnix(PaceTests):
    way = GRPC_UNIX


class PaceOverGrpcTls(PaceTests):
    way = GRPC_TLS
