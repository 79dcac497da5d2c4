"""Dials that fail, as a client of each frontend sees them: Go's texts, upstream's statuses."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHostnameResolver
from zope.interface import implementer

from konnect.wire.packets import PacketType
from tests.functional.peers import closed
from tests.functional.raw import RawConnect, RawStream, raw_connect, raw_grpc
from tests.functional.rig import (
    CONNECT_TLS,
    CONNECT_UNIX,
    GRPC_TLS,
    GRPC_UNIX,
    FunctionalTestCase,
    ProxyRig,
)
from tests.functional.waiting import until
from tests.ports import free_port

NOWHERE = "255.255.255.255:80"
"""Linux refuses TCP to the broadcast address before anything leaves the machine."""


@implementer(IHostnameResolver)
class NoNames:
    """A resolver that knows no name but those of this machine, so that nothing leaves it."""

    def __init__(self, rest: Any) -> None:
        self._rest = rest

    def resolveHostName(
        self, resolutionReceiver: Any, hostName: str, *more: Any, **settings: Any
    ) -> Any:
        if not hostName.endswith(".invalid"):
            return self._rest.resolveHostName(resolutionReceiver, hostName, *more, **settings)
        resolutionReceiver.resolutionBegan(self)
        resolutionReceiver.resolutionComplete()
        return self

    def cancel(self) -> None:
        """Nothing is ever on its way."""


class DialErrorTests(FunctionalTestCase):
    """One dial by each frontend, both transports, for each way to fail."""

    async def _ask(self, proxy: ProxyRig, address: str) -> tuple[list[str], list[RawConnect]]:
        """The errors of DIAL_RSPs and the answers of CONNECTs."""
        errors = []
        for way in (GRPC_UNIX, GRPC_TLS):
            protocol = await raw_grpc(proxy.endpoint(way))
            stream = RawStream(protocol)
            stream.ask(address, random=3)
            answer = await stream.one(PacketType.DIAL_RSP)
            self.assertEqual(answer.dialResponse.random, 3)
            self.assertEqual(answer.dialResponse.connectID, 0)
            errors.append(answer.dialResponse.error)
            protocol.close("done")
        clients = []
        for way in (CONNECT_UNIX, CONNECT_TLS):
            client = await raw_connect(proxy.endpoint(way))
            client.ask(address)
            await closed(client)
            clients.append(client)
        return errors, clients

    async def _fails(self, proxy: ProxyRig, address: str, status: int, *words: str) -> None:
        errors, clients = await self._ask(proxy, address)
        for error in errors:
            for word in words:
                self.assertIn(word, error)
        for client in clients:
            self.assertEqual(client.status, status)
            self.assertEqual(client.header("Content-Length"), str(len(client.body)))
            for word in words:
                self.assertIn(word, client.body.decode())
        await self.nothing_left()

    async def test_refused(self) -> None:
        """A closed port is a 502 with Go's words, and counted as an answer with an error."""
        proxy, agent = await self.pair()
        address = f"127.0.0.1:{free_port()}"
        await self._fails(proxy, address, 502, f"dial tcp {address}", "connection refused")
        self.assertEqual(dict(proxy.service.ledger.dial_failures), {"error_response": 4})
        self.assertEqual(dict(agent.service.ledger.endpoint_dial_failures), {"unknown": 4})

    async def test_no_such_host(self) -> None:
        """A name that nobody knows is a 502 with Go's words."""
        before = self.reactor.nameResolver
        self.reactor.installNameResolver(NoNames(before))
        self.addCleanup(self.reactor.installNameResolver, before)
        proxy, agent = await self.pair()
        await self._fails(proxy, "nosuch.invalid:80", 502, "lookup nosuch.invalid", "no such host")
        self.assertEqual(dict(agent.service.ledger.endpoint_dial_failures), {"unknown": 4})

    async def test_unreachable(self) -> None:
        """A network that cannot be reached is a 502 with Go's words."""
        proxy, _ = await self.pair()
        await self._fails(proxy, NOWHERE, 502, f"dial tcp {NOWHERE}", "network is unreachable")

    async def test_missing_port(self) -> None:
        """An address without a port goes to the agent, which says what is missing."""
        proxy, _ = await self.pair()
        await self._fails(proxy, "localhost", 502, "address localhost: missing port in address")

    async def test_timeout(self) -> None:
        """A destination that never answers is a 504 after the agent's limit, counted as timeout."""
        proxy, agent = await self.pair()
        hole = self.blackhole()
        protocol = await raw_grpc(proxy.endpoint(GRPC_UNIX))
        stream = RawStream(protocol)
        client = await raw_connect(proxy.endpoint(CONNECT_UNIX))
        stream.ask(hole.address)
        client.ask(hole.address)
        answer = await stream.one(PacketType.DIAL_RSP)
        self.assertIn(f"dial tcp {hole.address}: i/o timeout", answer.dialResponse.error)
        self.assertEqual(await client.answer(), 504)
        await until(lambda: client.over, "the end of the answer")
        self.assertIn(b"i/o timeout", client.body)
        self.assertEqual(dict(agent.service.ledger.endpoint_dial_failures), {"timeout": 2})
        self.assertEqual(dict(proxy.service.ledger.dial_failures), {"error_response": 2})
        protocol.close("done")

    async def test_silent_agent(self) -> None:
        """A proxy with a short limit of its own gives up a dial, and the agent's is cancelled."""
        proxy, agent = await self.pair(backend_dial_timeout="300ms")
        hole = self.blackhole()
        await self._fails(proxy, hole.address, 504, "timed out waiting for backend dial")
        self.assertEqual(dict(proxy.service.ledger.dial_failures), {"backend_dial_timeout": 4})
        self.assertNotIn("timeout", agent.service.ledger.endpoint_dial_failures)
        # The limit is too short to tell a dead destination from a dead agent: a probe tells.
        (link,) = proxy.service.registry.links()
        self.assertFalse(link.suspect)
        self.assertEqual(link.health.misses, 0)
        await until(lambda: not link.health.waiting, "the probe's answer")

    async def test_no_agent(self) -> None:
        """Without an agent a CONNECT is a 500 and a DIAL_RSP says so, at once."""
        proxy = self.proxy()
        await self._fails(proxy, "127.0.0.1:80", 500, "No agent available")
        self.assertEqual(dict(proxy.service.ledger.dial_failures), {"no_agent": 4})

    async def test_failures_spoil_nothing(self) -> None:
        """After any number of failed dials on one stream the next one is served."""
        proxy, _ = await self.pair()
        destination = self.destination()
        protocol = await raw_grpc(proxy.endpoint(GRPC_UNIX))
        stream = RawStream(protocol)
        refused = f"127.0.0.1:{free_port()}"
        for random in range(1, 21):
            stream.ask(refused, random=random)
        stream.ask(destination.address, random=99)
        await until(lambda: len(stream.of(PacketType.DIAL_RSP)) == 21, "all answers")
        answers = {p.dialResponse.random: p.dialResponse for p in stream.of(PacketType.DIAL_RSP)}
        self.assertEqual(answers[99].error, "")
        self.assertGreater(answers[99].connectID, 0)
        protocol.close("done")
        await self.nothing_left()
