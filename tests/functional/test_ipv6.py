"""IPv6: proxies, frontends and destinations at ::1, by address and by a name with both kinds."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.endpoints import clientFromString
from twisted.trial.unittest import SkipTest

from konnect.wire.packets import PacketType
from tests.certificates import pki
from tests.functional.names import name_localhost
from tests.functional.peers import Destination, echo
from tests.functional.raw import RawStream, raw_connect, raw_grpc
from tests.functional.rig import CONNECT_UNIX, GRPC_UNIX, WAYS, FunctionalTestCase, ProxyRig
from tests.functional.waiting import until
from tests.lines import Lines
from tests.ports import free_port

WORD = b"over there"
LOOPBACK = "::1"


class IPv6TestCase(FunctionalTestCase):
    """Skipped on a machine without IPv6."""

    async def _begin(self) -> None:
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind((LOOPBACK, 0))
        except OSError:
            raise SkipTest("there is no IPv6 loopback") from None
        await super()._begin()

    async def works(
        self, proxy: ProxyRig, way: str, destination: Destination, host: str = LOOPBACK
    ) -> None:
        """A tunnel that echoes."""
        client = await self.dial(self.dialer(proxy, way), destination.port, host=host)
        client.transport.write(WORD)
        await until(lambda: client.count == len(WORD), "the echo")
        client.transport.loseConnection()


class AgentTests(IPv6TestCase):
    """Agents whose proxy is at an IPv6 address."""

    async def test_address(self) -> None:
        """A proxy that listens at ::1 is linked by that address, with its certificate checked."""
        for transport in ("stock", "hub"):
            proxy = self.proxy(agent_bind_address=LOOPBACK, transport=transport)
            agent = self.agent(proxy, proxy_server_host=LOOPBACK, transport=transport)
            await self.linked(proxy)
            (link,) = proxy.service.registry.links()
            self.assertRegex(str(link), r"at \[::1\]:[0-9]+$")
            await self.works(proxy, GRPC_UNIX, self.destination(echo, LOOPBACK))
            await agent.stop()

    async def test_name_with_both(self) -> None:
        """The proxies at the A and at the AAAA of one name are both linked."""
        for transport in ("stock", "hub"):
            four = self.proxy(agent_bind_address="127.0.0.1")
            six = self.proxy(agent_bind_address=LOOPBACK, agent_port=str(four.agent_port))
            name_localhost(self, "127.0.0.1", LOOPBACK)
            agent = self.agent(four, proxy_server_host="localhost", transport=transport)
            for proxy in (four, six):
                await self.linked(proxy)
                await self.works(proxy, GRPC_UNIX, self.destination(echo, LOOPBACK))
            await agent.stop()

    async def test_one_of_both(self) -> None:
        """Where one kind of a name's addresses leads nowhere the other is taken, whichever comes
        first."""
        for transport in ("stock", "hub"):
            for interface in ("127.0.0.1", LOOPBACK):
                for addresses in (("127.0.0.1", LOOPBACK), (LOOPBACK, "127.0.0.1")):
                    proxy = self.proxy(agent_bind_address=interface)
                    name_localhost(self, *addresses)
                    agent = self.agent(proxy, proxy_server_host="localhost", transport=transport)
                    await self.linked(proxy)
                    await agent.stop()

    async def test_certificate(self) -> None:
        """The proxy's certificate has to be for the address."""
        files = pki()
        lines = Lines(self, "konnect.agent.search")
        pairs = {
            (files.misnamed_server_cert, files.misnamed_server_key): False,
            (files.frontend_cert, files.frontend_key): True,
        }
        for (cert, key), good in pairs.items():
            proxy = self.proxy(agent_bind_address=LOOPBACK, cluster_cert=cert, cluster_key=key)
            agent = self.agent(proxy, proxy_server_host=LOOPBACK, ca_cert=files.frontend_ca)
            if good:
                await self.linked(proxy)
            else:
                await until(lambda: lines.texts, "the agent says why")
                self.assertRegex(
                    lines.texts[0], r"to the proxy at \[::1\]:[0-9]+: .*elsewhere.example"
                )
                self.assertEqual(proxy.service.registry.links(), [])
            await agent.stop()


class DestinationTests(IPv6TestCase):
    """What clients may ask for."""

    async def test_address(self) -> None:
        """An IPv6 address is dialed, by every way in."""
        for transport in ("stock", "hub"):
            proxy = self.proxy(transport=transport)
            agent = self.agent(proxy, transport=transport)
            await self.linked(proxy)
            destination = self.destination(echo, LOOPBACK)
            for way in WAYS:
                await self.works(proxy, way, destination)
            await agent.stop()

    async def test_written_out(self) -> None:
        """With brackets, as all clients write it; without them the answer says what is wrong."""
        proxy, _ = await self.pair()
        destination = self.destination(echo, LOOPBACK)
        bare = f"::1:{destination.port}"
        for address, good in ((destination.address, True), (bare, False)):
            client = await raw_connect(proxy.endpoint(CONNECT_UNIX))
            client.ask(address)
            protocol = await raw_grpc(proxy.endpoint(GRPC_UNIX))
            stream = RawStream(protocol)
            stream.ask(address)
            answer = (await stream.one(PacketType.DIAL_RSP)).dialResponse
            if good:
                self.assertEqual((await client.answer(), answer.error), (200, ""))
            else:
                self.assertIn(await client.answer(), (400, 502))
                self.assertIn(f"address {bare}: too many colons in address", answer.error)
            client.transport.loseConnection()
            protocol.close("done")
        self.assertEqual(len(destination.peers), 2)

    async def test_refused(self) -> None:
        """A refusal names the address as Go does."""
        proxy, _ = await self.pair()
        address = f"[::1]:{free_port()}"
        client = await raw_connect(proxy.endpoint(CONNECT_UNIX))
        client.ask(address)
        self.assertEqual(await client.answer(), 502)
        await until(lambda: client.over, "the end of the answer")
        self.assertIn(f"dial tcp {address}: connect: connection refused".encode(), client.body)

    async def test_name_with_both(self) -> None:
        """A name is reached by whichever of its addresses somebody listens at."""
        name_localhost(self, LOOPBACK, "127.0.0.1")
        for transport in ("stock", "hub"):
            proxy = self.proxy()
            agent = self.agent(proxy, transport=transport)
            await self.linked(proxy)
            for interface in ("127.0.0.1", LOOPBACK):
                destination = self.destination(echo, interface)
                await self.works(proxy, GRPC_UNIX, destination, "localhost")
            await agent.stop()


class FrontendTests(IPv6TestCase):
    """Clients that come by IPv6."""

    async def test_both_frontends(self) -> None:
        """CONNECT and gRPC over mutual TLS at ::1; the clients' addresses are logged with
        brackets."""
        files, ports = pki(), {"grpc": free_port(), "connect": free_port()}
        for kind, alpn in (("grpc", "h2"), ("connect", "http/1.1")):
            proxy = self.proxy(
                frontend=f"{kind}=mtls:{ports[kind]}:interface=\\:\\:1:alpn={alpn}"
                f":cert={files.frontend_cert}:key={files.frontend_key}:ca={files.frontend_ca}"
            )
            accounts: list[Any] = []
            proxy.ledger.account = accounts.append
            agent = self.agent(proxy)
            await self.linked(proxy)
            destination = self.destination(echo, LOOPBACK)
            endpoint = clientFromString(
                self.reactor,
                f"mtls:\\:\\:1:{ports[kind]}:ca={files.frontend_ca}:alpn={alpn}"
                f":cert={files.frontend_client_cert}:key={files.frontend_client_key}",
            )
            if kind == "connect":
                client = await raw_connect(endpoint)
                client.ask(destination.address)
                self.assertEqual(await client.answer(), 200)
                client.transport.loseConnection()
            else:
                protocol = await raw_grpc(endpoint)
                stream = RawStream(protocol)
                stream.ask(destination.address)
                await stream.one(PacketType.DIAL_RSP)
                protocol.close("done")
            await until(lambda found=accounts: found, "the tunnel is over")  # type: ignore[misc]
            self.assertRegex(accounts[0].client.peer, r"^\[::1\]:[0-9]+$")
            await agent.stop()
