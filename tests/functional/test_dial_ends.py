"""Somebody leaves while a dial is on its way: it is cancelled, or fails at once with a reason.

The destination is an address that never answers, so without the cancellation every dial would run
into the agent's own limit of five seconds, which would be counted as a timeout.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from konnect.client.errors import DialFailed
from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.functional.peers import Peer
from tests.functional.raw import RawStream, raw_connect, raw_grpc
from tests.functional.rig import (
    CONNECT_TLS,
    CONNECT_UNIX,
    GRPC_TLS,
    GRPC_UNIX,
    AgentRig,
    FunctionalTestCase,
    ProxyRig,
)
from tests.functional.waiting import turns, until


class GrpcUnixDialEnds(FunctionalTestCase):
    """Leaving during a dial on each frontend: here gRPC over a unix socket, the others below."""

    way = GRPC_UNIX

    async def _hanging(self, proxy: ProxyRig, agent: AgentRig) -> Deferred[Peer]:
        """A dial that the agent is at."""
        hole = self.blackhole()
        attempt = self.dial(self.dialer(proxy, self.way), hole.port)
        await until(lambda: agent.service.ledger.pending_dials == 1, "the agent dials")
        return attempt

    def _dials_asked(self, proxy: ProxyRig) -> int:
        return proxy.service.ledger.packets["to_agent", "DIAL_REQ"]

    async def _asked(self, proxy: ProxyRig, before: int) -> None:
        await until(lambda: self._dials_asked(proxy) > before, "the dial is on its way")

    async def _cancelled_at_the_agent(self, agent: AgentRig) -> None:
        ledger = agent.service.ledger
        await until(lambda: not ledger.pending_dials, "the agent's dial is over")
        self.assertEqual(dict(ledger.endpoint_dial_failures), {}, "the dial ran into its limit")
        self.assertEqual(ledger.opened, 0)

    async def test_client_gives_up(self) -> None:
        """A client that cancels its dial cancels the agent's."""
        proxy, agent = await self.pair()
        attempt = await self._hanging(proxy, agent)
        attempt.cancel()
        with self.assertRaises(DialFailed) as caught:
            await attempt
        self.assertEqual(caught.exception.reason, "context")
        await self._cancelled_at_the_agent(agent)
        self.assertEqual(dict(proxy.service.ledger.dial_failures), {"frontend_close": 1})
        await self.nothing_left()

    async def test_client_is_gone(self) -> None:
        """A client whose process ends during its dial cancels the agent's."""
        proxy, agent = await self.pair()
        hole = self.blackhole()
        if self.way in (GRPC_UNIX, GRPC_TLS):
            protocol = await raw_grpc(proxy.endpoint(self.way))
            RawStream(protocol).ask(hole.address)
            gone = protocol.abort
        else:
            client = await raw_connect(proxy.endpoint(self.way))
            client.ask(hole.address)
            gone = client.transport.abortConnection
        await until(lambda: agent.service.ledger.pending_dials == 1, "the agent dials")
        gone()
        await self._cancelled_at_the_agent(agent)
        await self.nothing_left()

    async def test_agent_dies(self) -> None:
        """An agent that dies fails its dials at once, and the client is told why."""
        proxy, agent = await self.pair()
        attempt = await self._hanging(proxy, agent)
        await agent.crash()
        with self.assertRaises(DialFailed) as caught:
            await attempt
        self.assertEqual(caught.exception.reason, "endpoint")
        self.assertIn("the agent's connection was lost", str(caught.exception))
        self.assertEqual(dict(proxy.service.ledger.dial_failures), {"backend_close": 1})
        await self.nothing_left()

    async def test_proxy_dies(self) -> None:
        """A proxy that dies cancels the dials of its agents, and its clients learn it."""
        proxy, agent = await self.pair()
        attempt = await self._hanging(proxy, agent)
        await proxy.crash()
        with self.assertRaises(DialFailed):
            await attempt
        await self._cancelled_at_the_agent(agent)

    async def test_proxy_stops(self) -> None:
        """A proxy that is stopped fails the dials on their way with that reason."""
        proxy, agent = await self.pair()
        attempt = await self._hanging(proxy, agent)
        stopping = Deferred.fromCoroutine(proxy.stop())
        with self.assertRaises(DialFailed) as caught:
            await attempt
        self.assertEqual(caught.exception.reason, "endpoint")
        self.assertIn("shutting down", str(caught.exception))
        await stopping
        await self._cancelled_at_the_agent(agent)

    async def test_destination_accepts_as_the_client_leaves(self) -> None:
        """Dials given up at any moment, also as they succeed, leave no connection."""
        proxy, agent = await self.pair()
        destination = self.destination()
        for rounds in range(40):
            before = self._dials_asked(proxy)
            attempt = self.dial(self.dialer(proxy, self.way), destination.port)
            attempt.addCallbacks(
                lambda client: client.transport.abortConnection(), lambda failure: None
            )
            await self._asked(proxy, before)
            await turns(rounds % 8)
            attempt.cancel()
        await self.nothing_left()
        await until(lambda: not destination.live, "the destination's connections are closed")
        self.assertEqual(agent.service.ledger.open_endpoint_connections, 0)


class GrpcTlsDialEnds(GrpcUnixDialEnds):
    """gRPC over mTLS."""

    way = GRPC_TLS


class ConnectUnixDialEnds(GrpcUnixDialEnds):
    """CONNECT over a unix socket."""

    way = CONNECT_UNIX


class ConnectTlsDialEnds(GrpcUnixDialEnds):
    """CONNECT over mTLS."""

    way = CONNECT_TLS


class ManyDialsTests(FunctionalTestCase):
    """Many dials on their way at once."""

    async def test_both_frontends_are_told_of_an_agents_death(self) -> None:
        """Dozens of dials of both kinds that hang at one agent all fail when it dies."""
        proxy, agent = await self.pair()
        hole = self.blackhole()
        attempts = [
            self.dial(self.dialer(proxy, way), hole.port)
            for way in (GRPC_UNIX, CONNECT_UNIX)
            for _ in range(25)
        ]
        await until(lambda: agent.service.ledger.pending_dials == 50, "the agent dials them all")
        await agent.crash()
        for attempt in attempts:
            with self.assertRaises(DialFailed) as caught:
                await attempt
            self.assertIn("the agent's connection was lost", str(caught.exception))
        self.assertEqual(dict(proxy.service.ledger.dial_failures), {"backend_close": 50})
        await self.nothing_left()

    async def test_a_dial_goes_to_the_agent_that_is_left(self) -> None:
        """After an agent's death with dials on their way, new dials take the other agent."""
        proxy, agent = await self.pair()
        hole = self.blackhole()
        hanging = self.dial(self.dialer(proxy, GRPC_UNIX), hole.port)
        await until(lambda: agent.service.ledger.pending_dials == 1, "the agent dials")
        other = self.agent(proxy)
        await self.linked(proxy, 2)
        await agent.crash()
        with self.assertRaises(DialFailed):
            await hanging
        client, _ = await self.tunnel(proxy, CONNECT_UNIX, self.destination())
        self.assertEqual(other.live, 1)
        client.transport.loseConnection()
        await self.nothing_left()

    async def test_dial_cls_of_a_stream_that_goes_on(self) -> None:
        """A client that takes a dial back by DIAL_CLS may go on with its stream."""
        proxy, agent = await self.pair()
        hole = self.blackhole()
        destination = self.destination()
        protocol = await raw_grpc(proxy.endpoint(GRPC_UNIX))
        stream = RawStream(protocol)
        stream.ask(hole.address, random=7)
        await until(lambda: agent.service.ledger.pending_dials == 1, "the agent dials")
        stream.stream.send(packets.dial_cls(7))
        await until(lambda: not agent.service.ledger.pending_dials, "the agent's dial is over")
        self.assertEqual(dict(agent.service.ledger.endpoint_dial_failures), {})
        stream.ask(destination.address, random=8)
        answer = await stream.one(PacketType.DIAL_RSP)
        self.assertEqual(answer.dialResponse.random, 8)
        self.assertEqual(answer.dialResponse.error, "")
        protocol.close("done")
        await self.nothing_left()
