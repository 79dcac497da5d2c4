"""Dials that one agent cannot make, and another can."""

from __future__ import annotations

import errno
import os
from functools import partial

from konnect.agent.dialing import Make, Taker
from konnect.client.errors import DialFailed
from konnect.tunnel.reasons import Reason
from tests.functional.rig import CONNECT_UNIX, WAYS, AgentRig, FunctionalTestCase, ProxyRig
from tests.functional.waiting import until
from tests.ports import free_port

ROUNDS = 8
"""Dials on each way: with a random agent first, one in 2**32 runs would ask one agent only."""


class NoSocket:
    """An attempt to connect for which there is no descriptor, or no port."""

    def __init__(self, number: int, ip: str, port: int, make: Make, taker: Taker) -> None:
        taker.failed(OSError(number, os.strerror(number)))

    def cancel(self) -> None:
        """It is over."""


class OtherAgentTests(FunctionalTestCase):
    """Two agents of one proxy, of which at least one is of no use."""

    async def _two(self, **flags: str) -> tuple[ProxyRig, AgentRig, AgentRig]:
        proxy = self.proxy(**flags)
        agents = self.agent(proxy), self.agent(proxy)
        await self.linked(proxy, 2)
        await until(lambda: all(agent.sessions for agent in agents), "the agents' sides")
        return proxy, *agents

    def _poor(self, agent: AgentRig, number: int = errno.EMFILE) -> None:
        """From now on this agent gets no descriptors, or what else the error says."""
        for session in agent.sessions:
            session.link._dialer._means.reach = partial(NoSocket, number)

    async def _all_work(self, proxy: ProxyRig, sound: AgentRig, cause: str) -> None:
        """Every dial ends at the sound agent, some after the other was asked."""
        destination = self.destination()
        clients = [
            (await self.tunnel(proxy, way, destination))[0] for way in WAYS for _ in range(ROUNDS)
        ]
        self.assertEqual(sound.live, len(clients))
        books = proxy.ledger
        self.assertGreater(books.dials_retried[cause], 0)
        self.assertEqual(set(books.dials_retried), {cause})
        self.assertEqual(dict(books.failed_by_reason), {})
        self.assertFalse(any(link.suspect for link in proxy.service.registry.links()))
        for client in clients:
            client.transport.loseConnection()
        await self.nothing_left()

    async def test_no_descriptors(self) -> None:
        """Dials that an agent has no descriptor for are made by the other."""
        proxy, poor, sound = await self._two()
        self._poor(poor)
        await self._all_work(proxy, sound, "too_many_files")

    async def test_no_descriptors_of_a_stock_agent(self) -> None:
        """So are those of an agent that says it by Go's words alone."""
        proxy, poor, sound = await self._two(credit="0", half_close="false")
        self._poor(poor)
        await self._all_work(proxy, sound, "too_many_files")

    async def test_no_local_ports(self) -> None:
        """So are those for which an agent has no port left."""
        proxy, poor, sound = await self._two()
        self._poor(poor, errno.EADDRNOTAVAIL)
        await self._all_work(proxy, sound, "out_of_resources")

    async def test_no_room(self) -> None:
        """So are those that an agent refuses since too much waits in it."""
        proxy, poor, sound = await self._two()
        poor.ledger.limit = -1
        await self._all_work(proxy, sound, "overloaded")

    async def test_neither(self) -> None:
        """When both are of no use, the client learns why from the second."""
        proxy, *agents = await self._two()
        for agent in agents:
            self._poor(agent)
        for way in WAYS:
            with self.assertRaises(DialFailed) as caught:
                await self.dial(self.dialer(proxy, way), free_port())
            self.assertIn("socket: too many open files", str(caught.exception))
        self.assertEqual(proxy.ledger.dials_retried, {"too_many_files": len(WAYS)})
        self.assertEqual(proxy.ledger.failed_by_reason, {"too_many_files": len(WAYS)})

    async def test_what_the_destination_refuses(self) -> None:
        """A destination's refusal is told at once, whatever other agents might say."""
        proxy, *agents = await self._two()
        for _ in range(4):
            with self.assertRaises(DialFailed):
                await self.dial(self.dialer(proxy, CONNECT_UNIX), free_port())
        self.assertEqual(sum(agent.ledger.failed_by_reason["refused"] for agent in agents), 4)
        self.assertEqual(dict(proxy.ledger.dials_retried), {})
        self.assertEqual(proxy.ledger.failed_by_reason, {Reason.REFUSED.label: 4})
