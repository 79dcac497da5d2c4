"""The client before a real proxy and agent: HTTP, endpoint strings, bad certificates."""

from __future__ import annotations

import random
from typing import Any

import treq
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.endpoints import (
    TCP4ServerEndpoint,
    clientFromString,
    quoteStringArgument,
    wrapServerTLS,
)
from twisted.web.client import Agent
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from konnect.app.test_server import PATTERN, make_site
from konnect.client.dialing import Dialer
from konnect.client.endpoint_string import parse_via
from konnect.client.errors import DialFailed, EndpointFailed, StreamSetupFailed, TunnelClosed
from konnect.client.web import WebEndpoints
from konnect.net.tls import client_context, server_context
from tests.certificates import pki
from tests.client.scripted import CountingFactory
from tests.functional.rig import GRPC_TLS, GRPC_UNIX, WAYS, FunctionalTestCase, ProxyRig

MIB = 1024 * 1024


@implementer(IPolicyForHTTPS)
class TestPolicy:
    """Trusts the tests' authority."""

    __test__ = False

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        return client_context(hostname.decode(), pki().frontend_ca, None, None, [])


class WebTests(FunctionalTestCase):
    """treq through each of the four ways."""

    async def site(self, *, tls: bool = False) -> int:
        """An HTTP destination's port."""
        endpoint: Any = TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1")
        if tls:
            files = pki()
            context = server_context(files.frontend_cert, files.frontend_key, None)
            endpoint = wrapServerTLS(context, endpoint)
        port = await endpoint.listen(make_site(self.reactor))
        self._closing.append(port.stopListening)
        return int(port.getHost().port)

    def agent_through(self, dialer: Dialer) -> Agent:
        endpoints = WebEndpoints(dialer, TestPolicy())
        agent: Agent = Agent.usingEndpointFactory(self.reactor, endpoints)
        return agent

    async def test_http(self) -> None:
        """Bodies of 3 MiB arrive whole in both directions, by each way."""
        proxy, _ = await self.pair()
        url = f"http://127.0.0.1:{await self.site()}"
        count = 3 * MIB
        expected = (PATTERN * (count // len(PATTERN) + 1))[:count]
        for way in WAYS:
            agent = self.agent_through(self.dialer(proxy, way))
            down = await treq.get(f"{url}/bytes?n={count}", agent=agent)
            self.assertEqual(await down.content() == expected, True, way)
            up = await treq.post(f"{url}/sha256", data=expected, agent=agent)
            self.assertTrue((await up.text()).endswith(f" {count}\n"), way)

    async def test_https(self) -> None:
        """TLS to the destination runs within the tunnel, by each way."""
        proxy, _ = await self.pair()
        url = f"https://localhost:{await self.site(tls=True)}/bytes?n={MIB}"
        for way in WAYS:
            agent = self.agent_through(self.dialer(proxy, way))
            response = await treq.get(url, agent=agent)
            self.assertEqual(len(await response.content()), MIB, way)

    async def test_many_at_once_on_one_connection(self) -> None:
        """A hundred requests at once share one connection to the proxy."""
        proxy, _ = await self.pair()
        url = f"http://127.0.0.1:{await self.site()}/bytes?n=70000"
        agent = self.agent_through(self.dialer(proxy, GRPC_TLS, shared=True))

        async def size() -> int:
            response = await treq.get(url, agent=agent)
            return len(await response.content())

        sizes = await gatherResults([Deferred.fromCoroutine(size()) for _ in range(100)])
        self.assertEqual(set(sizes), {70000})
        self.assertEqual(len(proxy.service.connections()), 2)  # the agent's is the other

    async def test_endpoint_string(self) -> None:
        """Twisted finds `konnect:` by itself, and a string is all that a program needs."""
        proxy, _ = await self.pair()
        port = await self.site()
        inner = quoteStringArgument(f"grpc=unix:{proxy._grpc}")
        endpoint: Any = clientFromString(self.reactor, f"konnect:127.0.0.1:{port}:via={inner}")
        self._dialers.append(endpoint.dialer)
        factory = CountingFactory()
        recorder = await endpoint.connect(factory)
        recorder.transport.write(b"GET /success HTTP/1.0\r\n\r\n")
        while factory.stopped == 0:
            await self.turn()
        self.assertTrue(recorder.bytes.startswith(b"HTTP/1.0 200 OK"), recorder.bytes[:20])

    def turn(self) -> Deferred[None]:
        """The reactor's next turn."""
        turned: Deferred[None] = Deferred()
        self.reactor.callLater(0.01, turned.callback, None)
        return turned


class BadCertificateTests(FunctionalTestCase):
    """What a client is told when TLS to the proxy fails."""

    async def failure(self, proxy: ProxyRig, kind: str, **files: str) -> str:
        """How a dial with these certificates fails."""
        port = proxy._grpc_port if kind == "grpc" else proxy._connect_port
        tls = ":".join(f"{name}={path}" for name, path in files.items())
        dialer = parse_via(self.reactor, f"{kind}=mtls:127.0.0.1:{port}:{tls}", timeout=15)
        self._dialers.append(dialer)
        factory = CountingFactory()
        problem: Any = await self.assertFailure(
            self.dial(dialer, 9), StreamSetupFailed, TunnelClosed, EndpointFailed
        )
        self.assertEqual(factory.started, factory.stopped)
        return str(problem)

    async def test_unknown_authority(self) -> None:
        """A proxy whose authority is not ours is refused by us, and the text says so."""
        proxy, _ = await self.pair()
        for kind in ("grpc", "connect"):
            problem = await self.failure(proxy, kind, ca=pki().other_ca)
            self.assertIn("cannot reach the proxy: server certificate", problem)
            self.assertIn("unknown certificate authority", problem)

    async def test_no_client_certificate(self) -> None:
        """A proxy that wants a certificate says so after our side of the handshake."""
        proxy, _ = await self.pair()
        for kind in ("grpc", "connect"):
            problem = await self.failure(proxy, kind, ca=pki().frontend_ca)
            self.assertIn("demands a client certificate and we sent none", problem)

    async def test_expired_client_certificate(self) -> None:
        """An expired certificate is refused by the proxy, and the text says so."""
        proxy, _ = await self.pair()
        files = pki()
        pair = {"cert": files.expired_client_cert, "key": files.expired_client_key}
        for kind in ("grpc", "connect"):
            problem = await self.failure(proxy, kind, ca=files.frontend_ca, **pair)
            self.assertIn("refused our certificate: it has expired", problem)

    async def test_grpc_to_the_connect_port(self) -> None:
        """A gRPC client at a CONNECT frontend is told that there is no HTTP/2."""
        proxy, _ = await self.pair()
        files = pki()
        port = proxy._connect_port
        tls = f"ca={files.frontend_ca}:cert={files.frontend_client_cert}"
        tls += f":key={files.frontend_client_key}"
        dialer = parse_via(self.reactor, f"grpc=mtls:127.0.0.1:{port}:{tls}")
        self._dialers.append(dialer)
        problem = await self.assertFailure(self.dial(dialer, 9), StreamSetupFailed)
        self.assertIn("ALPN", str(problem))

    async def test_cancelled_within_the_handshake(self) -> None:
        """A dial cancelled while TLS is being set up leaves nothing."""
        proxy, _ = await self.pair()
        dialed = self.dial(self.dialer(proxy, GRPC_TLS), 9)
        self.reactor.callLater(0, dialed.cancel)
        problem: Any = await self.assertFailure(dialed, DialFailed)
        self.assertEqual(problem.reason, "context", str(problem))

    async def test_cancelled_at_any_moment(self) -> None:
        """Dials cancelled after random times, by every way, end or succeed and leave nothing."""
        proxy, _ = await self.pair()
        destination = self.destination()
        moments = random.Random(11)
        for way in WAYS:
            dialers = [self.dialer(proxy, way) for _ in range(2)]
            if way in (GRPC_TLS, GRPC_UNIX):
                dialers.append(self.dialer(proxy, way, shared=True))
            for dialer in dialers:
                dials = [self.dial(dialer, destination.port) for _ in range(20)]
                for dialed in dials:
                    self.reactor.callLater(moments.uniform(0, 0.06), dialed.cancel)
                for opened, result in await DeferredList(dials, consumeErrors=True):
                    if opened:
                        result.transport.abortConnection()
                    else:
                        self.assertEqual(result.value.reason, "context")  # type: ignore[attr-defined]
        await self.nothing_left()

    async def test_no_proxy(self) -> None:
        """A proxy that is not there is a StreamSetupFailed at once."""
        proxy, _ = await self.pair()
        dialer = self.dialer(proxy, GRPC_UNIX)
        await proxy.stop()
        problem = await self.assertFailure(self.dial(dialer, 9), StreamSetupFailed)
        self.assertIn("cannot reach the proxy: ", str(problem))
