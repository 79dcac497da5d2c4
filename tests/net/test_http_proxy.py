"""Tests of konnect.net.http_proxy, in memory and on loopback sockets."""

from __future__ import annotations

import base64
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from konnect.net.http_proxy import HttpProxy, HttpProxyFailed, ThroughHttpProxy, read_http_proxy
from konnect.net.hub.reactor import HubReactor
from tests.certificates import pki
from tests.net.forward_proxy import ForwardProxy
from tests.net.test_endpoints import Asker, Upper, settings

PROXY = HttpProxy("corp", 3128)


class ReadTests(SynchronousTestCase):
    """The URL of an HTTP proxy."""

    def test_accepted(self) -> None:
        """Only the host is needed; whatever the scheme, HTTP is spoken."""
        for text, host, port in (
            ("http://corp:3128", "corp", 3128),
            ("corp:3128", "corp", 3128),
            ("corp", "corp", 80),
            ("https://corp:8443/", "corp", 8443),
            ("http://[::1]:3128", "::1", 3128),
            ("http://[fe80::1%25eth0]:3128", "fe80::1%eth0", 3128),
        ):
            self.assertEqual(read_http_proxy(text), HttpProxy(host, port), text)
        self.assertEqual(HttpProxy("::1", 3128).name, "[::1]:3128")

    def test_password(self) -> None:
        """A user and a password become a header, and are in no text."""
        proxy = read_http_proxy("http://me:p%40ss@corp:3128")
        self.assertEqual(proxy.authorization, "Basic bWU6cEBzcw==")
        self.assertNotIn("Basic", repr(proxy))
        self.assertEqual(proxy.name, "corp:3128")

    def test_other_bytes(self) -> None:
        """A user and a password are bytes, which need not be UTF-8."""
        for text, user in (
            ("http://me:p%E4ss@corp", b"me:p\xe4ss"),
            ("http://me:p\udce4ss@corp", b"me:p\xe4ss"),
            ("http://me:p\xe4ss@corp", b"me:p\xc3\xa4ss"),
            ("http://me@corp", b"me:"),
        ):
            expected = "Basic " + base64.b64encode(user).decode()
            self.assertEqual(read_http_proxy(text).authorization, expected)

    def test_refused(self) -> None:
        """What is no HTTP proxy is refused without repeating it."""
        for text, problem in (
            ("socks5://me:secret@corp:1080", "no HTTP proxy: socks5 is not spoken"),
            ("http://me:secret@corp:port", "no HTTP proxy: its port is no number from 0 to 65535"),
            ("http://me:secret@", "no HTTP proxy: it has no host, as in http://host:3128"),
            ("http://me:sec\uff1aret@corp", "no HTTP proxy: it is no URL"),
            ("http://me:[secret]@corp", "no HTTP proxy: it is no URL"),
        ):
            error = self.assertRaises(ValueError, read_http_proxy, text)
            self.assertEqual(str(error), problem)


class Plain:
    """An endpoint whose connections end in memory, or that fails."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.transport: Any = StringTransport()
        self.asking: Any = None

    def connect(self, factory: Any) -> Deferred[Any]:
        if self.error is not None:
            return fail(self.error)
        self.asking = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 3128))
        self.asking.makeConnection(self.transport)
        return succeed(self.asking)


class ThroughTests(SynchronousTestCase):
    """The conversation with the HTTP proxy."""

    def setUp(self) -> None:
        """Begin to connect."""
        self.plain = Plain()
        self.clock = Clock()
        self.connecting = self.connect(PROXY)

    def connect(self, proxy: HttpProxy) -> Deferred[Any]:
        """What connects through `proxy`."""
        plain: Any = self.plain
        clock: Any = self.clock
        endpoint = ThroughHttpProxy(
            plain,
            proxy,
            "far:8091",
            clock,
            20.0,
        )
        connecting: Deferred[Any] = endpoint.connect(Factory.forProtocol(Protocol))
        return connecting

    def fails(self, text: str) -> None:
        """The attempt has failed so, its connection is gone, and nothing is left to happen."""
        error = self.failureResultOf(self.connecting, HttpProxyFailed).value
        self.assertEqual(str(error), text)
        self.assertTrue(self.plain.transport.disconnecting or self.plain.transport.disconnected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_request(self) -> None:
        """The HTTP proxy is asked for the target, with what it wants to know of the user."""
        self.assertTrue(
            self.plain.transport.value().startswith(
                b"CONNECT far:8091 HTTP/1.1\r\nHost: far:8091\r\n"
            )
        )
        self.assertNotIn(b"Authorization", self.plain.transport.value())
        self.plain.transport.clear()
        other = self.connect(HttpProxy("corp", 3128, "Basic abc"))
        self.assertIn(b"Proxy-Authorization: Basic abc\r\n", self.plain.transport.value())
        other.cancel()
        self.failureResultOf(other, CancelledError)

    def test_connected(self) -> None:
        """After a 200, however it is cut, the protocol has the transport itself."""
        for byte in b"HTTP/1.1 200 fine\r\n\r":
            self.plain.asking.dataReceived(bytes([byte]))
        self.assertNoResult(self.connecting)
        self.plain.asking.dataReceived(b"\n")
        protocol = self.successResultOf(self.connecting)
        self.assertIs(protocol.transport, self.plain.transport)
        self.assertIs(self.plain.transport.protocol, protocol)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """A refusal is told with its status."""
        self.plain.asking.dataReceived(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        self.fails("the HTTP proxy corp:3128: it refused: 407 Proxy Authentication Required")

    def test_talkative(self) -> None:
        """Bytes behind the 200 are nobody's: the far side does not speak first."""
        self.plain.asking.dataReceived(b"HTTP/1.1 200 OK\r\n\r\nhello")
        self.fails("the HTTP proxy corp:3128: something was sent before it was asked for")

    def test_no_http(self) -> None:
        """Something else than HTTP is named."""
        self.plain.asking.dataReceived(b"SSH-2.0")
        self.fails(
            "the HTTP proxy corp:3128: the proxy's answer is no HTTP: it begins with b'SSH-2.0'"
        )

    def test_silent(self) -> None:
        """An HTTP proxy that does not answer is given up."""
        self.clock.advance(20)
        self.fails("the HTTP proxy corp:3128: no answer within 20 seconds")

    def test_lost(self) -> None:
        """One that hangs up is told so."""
        self.plain.asking.connectionLost(Failure(ConnectionDone()))
        self.fails("the HTTP proxy corp:3128: the proxy closed the connection without an answer")

    def test_cancelled(self) -> None:
        """An attempt that is given up closes its connection."""
        self.connecting.cancel()
        self.failureResultOf(self.connecting, CancelledError)
        self.assertTrue(self.plain.transport.disconnecting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unreachable(self) -> None:
        """That the HTTP proxy is not there is not said of what is behind it."""
        self.plain.error = ConnectionRefusedError()
        error = self.failureResultOf(self.connect(PROXY), HttpProxyFailed).value
        self.assertEqual(str(error), "the HTTP proxy corp:3128: connection refused")
        self.connecting.cancel()
        self.failureResultOf(self.connecting, CancelledError)


class LoopbackTests(TestCase):
    """`mtls:` with `via=`, on Twisted's transports and on the hub's."""

    async def ask(self, via: str, *, hub: bool) -> tuple[bytes, bytes]:
        """What a TLS server answered through the HTTP proxy, and what that one was asked."""
        from twisted.internet import reactor

        p = pki()
        server = "mtls:0:interface=127.0.0.1" + settings(
            cert=p.agent_server_cert, key=p.agent_server_key, ca=p.agent_ca, alpn="h2"
        )
        port = await serverFromString(reactor, server).listen(Factory.forProtocol(Upper))
        self.addCleanup(port.stopListening)
        proxy = ForwardProxy(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(proxy.close()))
        client = f"mtls:127.0.0.1:{port.getHost().port}" + settings(
            ca=p.agent_ca,
            cert=p.agent_cert,
            key=p.agent_key,
            alpn="h2",
            via=via.format(proxy.port),
        )
        endpoint = clientFromString(HubReactor(reactor) if hub else reactor, client)
        asker: Any = await endpoint.connect(Factory.forProtocol(Asker))
        answer, _ = await asker.done
        (head,) = proxy.heads
        return answer, head

    async def test_stock(self) -> None:
        """TLS runs from end to end through the HTTP proxy."""
        answer, head = await self.ask("http://me:pw@127.0.0.1:{}", hub=False)
        self.assertEqual(answer, b"HELLO h2")
        self.assertIn(b"Proxy-Authorization: Basic bWU6cHc=", head)

    async def test_hub(self) -> None:
        """The same on the hub, which takes the socket over from the conversation."""
        answer, head = await self.ask("localhost:{}", hub=True)
        self.assertEqual(answer, b"HELLO h2")
        self.assertTrue(head.startswith(b"CONNECT 127.0.0.1:"))
