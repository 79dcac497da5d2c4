"""Tests of konnect.net.endpoints, on loopback sockets and in memory."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    clientFromString,
    quoteStringArgument,
    serverFromString,
)
from twisted.internet.interfaces import (
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import IPlugin
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from konnect.net.endpoints import MtlsClientParser, MtlsServerParser, tcp_server_endpoint
from konnect.net.hub.reactor import HubReactor
from konnect.net.tls import TlsFileError, explain
from tests.certificates import pki


class Upper(Protocol):
    """Answers in upper case with the ALPN protocol, once."""

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(data.upper() + b" " + (transport.negotiatedProtocol or b"-"))
        transport.loseConnection()


class Asker(Protocol):
    """Asks, and tells what came back, or why nothing did."""

    def __init__(self) -> None:
        self.answer = b""
        self.done: Deferred[tuple[bytes, str]] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(b"hello")  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.answer += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.done.callback((self.answer, explain(reason)))


def settings(**values: str) -> str:
    """The settings of an endpoint string."""
    return "".join(f":{name}={quoteStringArgument(value)}" for name, value in values.items())


class LoopbackTests(TestCase):
    """Both endpoint types through their strings, found as Twisted finds them."""

    async def exchange(self, server: str, client: str, *, hub: bool = False) -> tuple[bytes, str]:
        """Listen and connect; `client` has ``{}`` where the port goes."""
        from twisted.internet import reactor

        listens: Any = HubReactor(reactor) if hub else reactor
        port = await serverFromString(listens, server).listen(Factory.forProtocol(Upper))
        self.addCleanup(port.stopListening)
        endpoint = clientFromString(reactor, client.format(port.getHost().port))
        asker = await endpoint.connect(Factory.forProtocol(Asker))
        assert isinstance(asker, Asker)
        return await asker.done

    async def test_mutual(self) -> None:
        """With all settings given, both sides authenticate and bytes pass."""
        p = pki()
        answer, _ = await self.exchange(
            "mtls:0:interface=127.0.0.1:backlog=5:minimum=1.3"
            + settings(cert=p.agent_server_cert, key=p.agent_server_key, ca=p.agent_ca, alpn="h2"),
            "mtls:127.0.0.1:{}:timeout=5:bindAddress=127.0.0.1:minimum=1.2:servername=localhost"
            + settings(ca=p.agent_ca, cert=p.agent_cert, key=p.agent_key, alpn="foo,h2"),
        )
        self.assertEqual(answer, b"HELLO h2")

    async def test_least(self) -> None:
        """Without client certificates and ALPN, and with empty settings, bytes pass as well."""
        p = pki()
        answer, _ = await self.exchange(
            "mtls:0:interface=127.0.0.1:ca=:alpn="
            + settings(cert=p.agent_server_cert, key=p.agent_server_key),
            "mtls:localhost:{}:cert=:key=:alpn=:servername=" + settings(ca=p.agent_ca),
        )
        self.assertEqual(answer, b"HELLO -")

    async def test_no_client_certificate(self) -> None:
        """A listener with ca= does not serve a client without cert=, and the client learns why."""
        p = pki()
        answer, why = await self.exchange(
            "mtls:0:interface=127.0.0.1"
            + settings(cert=p.agent_server_cert, key=p.agent_server_key, ca=p.agent_ca),
            "mtls:localhost:{}" + settings(ca=p.agent_ca),
        )
        self.assertEqual(answer, b"")
        self.assertEqual(why, "the peer demands a client certificate and we sent none")

    async def test_servername_is_what_is_verified(self) -> None:
        """With servername=, the certificate has to be valid for that name and not for the host."""
        p = pki()
        _, why = await self.exchange(
            "mtls:0:interface=127.0.0.1"
            + settings(cert=p.agent_server_cert, key=p.agent_server_key),
            "mtls:127.0.0.1:{}:servername=proxy.example" + settings(ca=p.agent_ca),
        )
        self.assertIn("not valid for proxy.example", why)

    async def test_on_another_endpoint(self) -> None:
        """With on=, TLS is spoken on whatever endpoint that is, on both transports."""
        p = pki()
        for hub in (False, True):
            answer, _ = await self.exchange(
                "mtls:on=tcp\\:0\\:interface=127.0.0.1:alpn=h2"
                + settings(cert=p.agent_server_cert, key=p.agent_server_key),
                "mtls:localhost:{}:alpn=h2" + settings(ca=p.agent_ca),
                hub=hub,
            )
            self.assertEqual(answer, b"HELLO h2")

    async def test_odd_paths(self) -> None:
        """A quoted path may hold what endpoint strings use themselves."""
        p = pki()
        directory = Path(tempfile.mkdtemp(prefix="konnect-test-"))
        self.addCleanup(shutil.rmtree, directory)
        odd = directory / "a:b\\c=d é"
        odd.mkdir()
        cert = shutil.copy(p.agent_server_cert, odd)
        answer, _ = await self.exchange(
            "mtls:0:interface=127.0.0.1" + settings(cert=str(cert), key=p.agent_server_key),
            "mtls:127.0.0.1:{}" + settings(ca=p.agent_ca),
        )
        self.assertEqual(answer, b"HELLO -")

    async def test_ipv6(self) -> None:
        """An IPv6 address works on both sides, where the machine has IPv6."""
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            self.skipTest("no IPv6 on this machine")
        p = pki()
        answer, _ = await self.exchange(
            "mtls:0:interface=\\:\\:1" + settings(cert=p.agent_server_cert, key=p.agent_server_key),
            "mtls:\\:\\:1:{}" + settings(ca=p.agent_ca),
        )
        self.assertEqual(answer, b"HELLO -")


class ParserTests(SynchronousTestCase):
    """What the parsers make of their arguments, without a network."""

    def setUp(self) -> None:
        p = pki()
        self.reactor = MemoryReactorClock()
        self.server = {"cert": p.agent_server_cert, "key": p.agent_server_key}
        self.client = {"ca": p.agent_ca}

    def test_interfaces(self) -> None:
        """The parsers are what Twisted looks for."""
        verifyObject(IStreamServerEndpointStringParser, MtlsServerParser())
        verifyObject(IStreamClientEndpointStringParserWithReactor, MtlsClientParser())
        for parser in (MtlsServerParser(), MtlsClientParser()):
            self.assertTrue(IPlugin.providedBy(parser))
            self.assertEqual(parser.prefix, "mtls")

    def test_server_listens_where_it_was_told(self) -> None:
        """Port, interface and backlog reach the reactor."""
        endpoint = MtlsServerParser().parseStreamServer(
            self.reactor, "8091", interface="192.0.2.1", backlog="7", **self.server
        )
        self.successResultOf(endpoint.listen(Factory()))
        ((port, _, backlog, interface),) = self.reactor.tcpServers
        self.assertEqual((port, backlog, interface), (8091, 7, "192.0.2.1"))

    def test_server_bad_settings(self) -> None:
        """Settings that make no listener are refused in words for people."""
        for args, changes, text in (
            ((), {}, "port '' is not a number from 0 to 65535"),
            (("8091",), {"on": "tcp:8092"}, "either a port or on=ENDPOINT, not both"),
            (("1", *"234567", "8", "9", "10", "11"), {}, "too many"),
            (("8091",), {"cret": "x"}, "unexpected keyword argument 'cret'"),
            (("8091",), {"cert": ""}, "needs cert=FILE and key=FILE"),
            (("8091",), {"key": ""}, "needs cert=FILE and key=FILE"),
            (("65536",), {}, "port '65536' is not a number from 0 to 65535"),
            (("-1",), {}, "port '-1' is not"),
            (("x",), {}, "port 'x' is not"),
            (("8091",), {"backlog": "many"}, "backlog 'many' is not"),
            (("8091",), {"minimum": "1"}, "'1' is not one of 1.0, 1.1, 1.2, 1.3"),
            (("8091",), {"ciphers": "X"}, "cipher suite 'X' is not one of TLS_"),
        ):
            values = {} if len(args) > 1 else {**self.server, **changes}
            error = self.assertRaises(
                ValueError, MtlsServerParser().parseStreamServer, self.reactor, *args, **values
            )
            self.assertIn(text, str(error))
        self.assertEqual(self.reactor.tcpServers, [])

    def test_client_bad_settings(self) -> None:
        """Settings that make no connection are refused in words for people."""
        for args, changes, text in (
            (("host",), {}, "missing a required argument: 'port'"),
            (("", "1"), {}, "needs a host"),
            (("host", "0"), {}, "port '0' is not a number from 1 to 65535"),
            (("https://host", "1"), {}, "'https://host' is neither a host name nor an IP address"),
            (("host:1", "1"), {}, "'host:1' is neither a host name nor an IP address"),
            (("a b", "1"), {}, "'a b' is neither a host name nor an IP address"),
            (("host", "1"), {"ca": ""}, "needs ca=FILE"),
            (("host", "1"), {"cert": pki().agent_cert}, "go together"),
            (("host", "1"), {"timeout": "soon"}, "timeout 'soon' is not a number of seconds"),
            (("host", "1"), {"timeout": "nan"}, "timeout 'nan' is not"),
            (("host", "1"), {"timeout": "0"}, "timeout '0' is not"),
        ):
            values = {**self.client, **changes}
            error = self.assertRaises(
                ValueError, MtlsClientParser().parseStreamClient, self.reactor, *args, **values
            )
            self.assertIn(text, str(error))

    def test_files_that_cannot_be_used(self) -> None:
        """A bad file is known when the string is parsed, and named."""
        for parse, args, values in (
            (MtlsServerParser().parseStreamServer, ("8091",), {**self.server, "ca": "/nowhere"}),
            (MtlsClientParser().parseStreamClient, ("host", "1"), {"ca": "/nowhere"}),
        ):
            error = self.assertRaises(TlsFileError, parse, self.reactor, *args, **values)
            self.assertIn("/nowhere", str(error))

    def test_client_gives_up_in_time(self) -> None:
        """The connection is given up after timeout= seconds."""
        endpoint = MtlsClientParser().parseStreamClient(
            self.reactor, "192.0.2.1", "8091", timeout="2.5", **self.client
        )
        connecting = endpoint.connect(Factory())
        self.reactor.advance(0)
        ((_, port, _, timeout, _),) = self.reactor.tcpClients
        self.assertEqual((port, timeout), (8091, 2.5))
        connecting.addErrback(lambda failure: None)
        connecting.cancel()

    def test_default_timeout(self) -> None:
        """Without timeout=, a connection is given 20 seconds, as upstream's agent gives it."""
        endpoint = MtlsClientParser().parseStreamClient(
            self.reactor, "192.0.2.1", "8091", **self.client
        )
        connecting = endpoint.connect(Factory())
        self.reactor.advance(0)
        self.assertEqual(self.reactor.tcpClients[0][3], 20.0)
        connecting.addErrback(lambda failure: None)
        connecting.cancel()


class TcpServerEndpointTests(SynchronousTestCase):
    """tcp_server_endpoint."""

    def test_interfaces(self) -> None:
        """IPv4 and IPv6 addresses are listened on as they are, nothing means all of IPv4."""
        reactor = MemoryReactorClock()
        for interface in ("", "127.0.0.1", "::1", "::"):
            endpoint = tcp_server_endpoint(reactor, 8090, interface)
            self.successResultOf(endpoint.listen(Factory()))
        self.assertEqual(
            [(port, backlog, interface) for port, _, backlog, interface in reactor.tcpServers],
            [(8090, 1024, ""), (8090, 1024, "127.0.0.1"), (8090, 1024, "::1"), (8090, 1024, "::")],
        )
