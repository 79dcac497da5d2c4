"""A stock half that takes nothing, since one tunnel's reader there has stopped: seen from ours.

A half with `--credit=0` announces no credit: to the other side it is a stock one.
"""

from __future__ import annotations

from tests.functional.peers import Peer, Source, deaf, sending
from tests.functional.rig import CONNECT_UNIX, FunctionalTestCase
from tests.functional.waiting import until


def _endless(peer: Peer) -> None:
    Source(peer, None)


class BlockedLinkTests(FunctionalTestCase):
    """Until the half itself ends the tunnel, or its reader goes on."""

    async def test_at_an_agent(self) -> None:
        proxy = self.proxy(credit="0", tunnel_budget="65536", stall_timeout="60s")
        agent = self.agent(proxy, stall_timeout="1s")
        await self.linked(proxy)
        client, _ = await self.tunnel(proxy, CONNECT_UNIX, self.destination(sending(None)), deaf)
        await until(lambda: agent.ledger.blocked_links == 1, "a blocked link")
        client.transport.abortConnection()
        await until(lambda: agent.ledger.blocked_links == 0, "a link that goes on")

    async def test_at_a_proxy(self) -> None:
        proxy = self.proxy(stall_timeout="1s")
        agent = self.agent(proxy, credit="0", tunnel_budget="65536", stall_timeout="60s")
        await self.linked(proxy)
        client, server = await self.tunnel(proxy, CONNECT_UNIX, self.destination(deaf), _endless)
        await until(lambda: proxy.ledger.blocked_links == 1, "a blocked link")
        self.assertEqual(agent.ledger.blocked_links, 0)
        client.transport.abortConnection()
        server.transport.abortConnection()
        await until(lambda: proxy.ledger.blocked_links == 0, "a link that goes on")
