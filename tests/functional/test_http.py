"""HTTP through the tunnels: the situations of upstream's integration tests that are not told by the
other modules here (those about dial errors, agents and drains are)."""

from __future__ import annotations

import hashlib
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString, wrapServerTLS
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from konnect.client.errors import DialCancelled
from konnect.net.endpoints import tcp_server_endpoint
from konnect.net.tls import server_context
from tests.certificates import pki
from tests.functional.peers import Peer, arrived, closed, digest, echo
from tests.functional.raw import raw_connect
from tests.functional.rig import (
    CONNECT_UNIX,
    GRPC_UNIX,
    WAYS,
    FunctionalTestCase,
    ProxyRig,
)
from tests.functional.waiting import until
from tests.functional.web import PIECE, Browser, WebServer


@implementer(IHandshakeListener)
class _Negotiated(Protocol):
    """Tells which protocol a TLS client agreed to."""

    seen: list[Any]
    transport: Any

    def connectionMade(self) -> None:
        """The handshake comes first."""

    def handshakeCompleted(self) -> None:
        self.seen.append(self.transport.negotiatedProtocol)
        self.transport.loseConnection()


class HttpTests(FunctionalTestCase):
    """Requests by Twisted's own HTTP client."""

    def _server(self) -> WebServer:
        server = WebServer()
        self._closing.append(server.close)
        return server

    def _browser(self, proxy: ProxyRig, way: str, server: WebServer, **more: Any) -> Browser:
        return Browser(self.dialer(proxy, way), server.port, **more)

    async def test_get(self) -> None:
        """A GET through each frontend is answered, and its tunnel is gone behind it."""
        proxy, _ = await self.pair()
        server = self._server()
        for way in WAYS:
            self.assertEqual(await self._browser(proxy, way, server).request("hello"), b"hello")
            await self.nothing_left()

    async def test_connect_by_hand(self) -> None:
        """A CONNECT is answered by a bare 200 with nothing behind it, and then carries a GET."""
        proxy, _ = await self.pair()
        server = self._server()
        client = await raw_connect(proxy.endpoint(CONNECT_UNIX))
        client.ask(f"127.0.0.1:{server.port}")
        self.assertEqual(await client.answer(), 200)
        self.assertEqual(client.body, b"")
        client.transport.write(b"GET /hello HTTP/1.0\r\n\r\n")
        await until(lambda: client.over, "the answer to the GET")
        self.assertTrue(client.body.startswith(b"HTTP/1."), client.body)
        self.assertTrue(client.body.endswith(b"\r\n\r\nhello"), client.body)
        await self.nothing_left()

    async def test_large_response(self) -> None:
        """Ten writes of 2 MiB come as 20 MiB."""
        proxy, _ = await self.pair()
        server = self._server()
        for way in WAYS:
            body = await self._browser(proxy, way, server).request("large")
            self.assertEqual(hashlib.sha256(body).hexdigest(), digest(10 * PIECE))
        await self.nothing_left()

    async def test_ten_large_responses_at_once(self) -> None:
        """Ten parallel tunnels of each kind fetch 20 MiB each, whole."""
        proxy, _ = await self.pair()
        server = self._server()
        for way in (GRPC_UNIX, CONNECT_UNIX):
            requests = [self._browser(proxy, way, server).request("large") for _ in range(10)]
            for body in await gatherResults(requests):
                self.assertEqual(hashlib.sha256(body).hexdigest(), digest(10 * PIECE))
        await self.nothing_left()

    async def test_distinct_bodies_over_two_agents(self) -> None:
        """A hundred parallel POSTs over two agents each get their own body back."""
        proxy, first = await self.pair()
        second = self.agent(proxy)
        await self.linked(proxy, 2)
        server = self._server()
        bodies = [f"body {number}, ".encode() * (1 + number * 37) for number in range(100)]
        requests = [
            self._browser(proxy, WAYS[number % 4], server).request("echo", body)
            for number, body in enumerate(bodies)
        ]
        self.assertEqual(await gatherResults(requests), bodies)
        await self.nothing_left()
        opened = first.service.ledger.opened, second.service.ledger.opened
        self.assertEqual(sum(opened), 100)
        self.assertTrue(all(opened), opened)

    async def test_request_deadline(self) -> None:
        """A request given up while the destination works ends its tunnel and frees everything."""
        proxy, agent = await self.pair()
        server = self._server()
        for way in WAYS:
            request = self._browser(proxy, way, server).request("slow")
            await server.asked()
            request.cancel()
            self.assertTrue(await request.addCallbacks(lambda _: False, lambda _: True))
            await until(lambda: not server.waiting, "the destination learned it")
            await self.nothing_left()
        self.assertEqual(agent.service.ledger.open_endpoint_connections, 0)

    async def test_fifty_requests_given_up(self) -> None:
        """Fifty requests cancelled at a slow destination leave no connection there."""
        proxy, agent = await self.pair()
        server = self._server()
        requests = [
            self._browser(proxy, WAYS[number % 4], server).request("slow") for number in range(50)
        ]
        await server.asked(50)
        for request in requests:
            request.addErrback(lambda _: None)
            request.cancel()
        await until(lambda: not server.live, "the destination's connections are gone")
        await self.nothing_left()
        self.assertEqual(agent.service.ledger.opened, 50)

    async def test_dial_given_up_before_it_began(self) -> None:
        """A dial that is cancelled in the same breath fails as cancelled."""
        proxy, _ = await self.pair()
        for way in WAYS:
            attempt = self.dial(self.dialer(proxy, way), 80)
            attempt.cancel()
            await self.assertFailure(attempt, DialCancelled)
        await self.nothing_left()

    async def test_client_closed_at_work(self) -> None:
        """Closing a client's way to the proxy fails its request and frees the destination."""
        proxy, _ = await self.pair()
        server = self._server()
        for way in WAYS:
            dialer = self.dialer(proxy, way)
            request = Browser(dialer, server.port).request("slow")
            await server.asked()
            closing = dialer.close()
            failed = await request.addCallbacks(lambda _: False, lambda _: True)
            self.assertTrue(failed)
            await closing
            await until(lambda: not server.waiting, "the destination learned it")
            await self.nothing_left()

    async def test_kept_connection_and_agents_end(self) -> None:
        """A kept connection whose agent went away fails its next request, and a new agent serves
        anew."""
        for way in (GRPC_UNIX, CONNECT_UNIX):
            proxy, agent = await self.pair()
            server = self._server()
            browser = self._browser(proxy, way, server, keep=True)
            self.assertEqual(await browser.request("hello"), b"hello")
            self.assertEqual(proxy.live, 1)
            await agent.stop()
            await self.linked(proxy, 0)
            failed = await browser.request("hello").addCallbacks(lambda _: False, lambda _: True)
            self.assertTrue(failed)
            await browser.close()
            self.agent(proxy)
            await self.linked(proxy)
            self.assertEqual(await self._browser(proxy, way, server).request("hello"), b"hello")
            await self.nothing_left()

    async def test_request_in_flight_and_a_second_agent_of_the_same_id(self) -> None:
        """A request on its way through an agent outlives the arrival of the agent's twin."""
        for way in (GRPC_UNIX, CONNECT_UNIX):
            proxy = self.proxy()
            self.agent(proxy, agent_id="twin")
            await self.linked(proxy)
            server = self._server()
            request = self._browser(proxy, way, server).request("slow")
            await server.asked()
            self.agent(proxy, agent_id="twin")
            await self.linked(proxy, 2)
            self.assertEqual(proxy.service.registry.counts(), {"default": 1})
            server.release()
            self.assertEqual(await request, b"at last")
            await self.nothing_left()

    async def test_echo(self) -> None:
        """Bytes written twice come back twice, and the close is a clean one."""
        proxy, _ = await self.pair()
        for way in WAYS:
            client, _ = await self.tunnel(proxy, way, self.destination(echo))
            for round_ in (1, 2):
                client.transport.write(b"the quick brown fox jumps")
                await arrived(25 * round_, client)
            self.assertEqual(client.head, b"the quick brown fox jumps" * 2)
            client.transport.loseConnection()
            await closed(client)
        await self.nothing_left()

    async def test_custom_alpn(self) -> None:
        """A client endpoint told of another protocol name offers it, and a server that knows only
        that one agrees."""
        files = pki()
        seen: list[Any] = []
        factory = Factory.forProtocol(_Negotiated)
        factory.noisy = False
        _Negotiated.seen = seen
        context = server_context(
            files.agent_server_cert, files.agent_server_key, files.agent_ca, ["test-proto"]
        )
        plain = tcp_server_endpoint(self.reactor, 0, "127.0.0.1")
        port: Any = await wrapServerTLS(context, plain, clock=self.reactor).listen(factory)
        self._closing.append(lambda: Deferred.fromCoroutine(_stopped(port)))
        text = f"mtls:127.0.0.1:{port.getHost().port}:ca={files.agent_ca}"
        text += f":cert={files.agent_cert}:key={files.agent_key}:alpn=h2,test-proto"
        client = await clientFromString(self.reactor, text).connect(Factory.forProtocol(Peer))
        await closed(client)
        self.assertEqual(seen, [b"test-proto"])


async def _stopped(port: Any) -> None:
    await port.stopListening()
