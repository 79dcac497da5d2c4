"""Tests of konnect.net.given, with sockets that the test has bound, on stock transports."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import _SystemdParser, quoteStringArgument
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.python.systemd import ListenFDs
from twisted.trial.unittest import TestCase

from konnect.net.closing import can_half_close
from konnect.net.given import GivenServer, server_endpoint
from konnect.net.hub.given_ports import GivenPort
from konnect.net.hub.reactor import HubReactor
from tests.certificates import pki
from tests.functional.waiting import descriptors, the_reactor


class Accepted(Protocol):
    """Answers, closes, and tells what it was connected by."""

    def __init__(self, told: Deferred[Any]) -> None:
        self.told = told

    def dataReceived(self, data: bytes) -> None:
        wire: Any = self.transport
        self.wire = wire
        self.certificate = getattr(wire, "getPeerCertificate", lambda: None)()
        self.half = can_half_close(wire)
        self.peer = wire.getPeer()
        wire.write(b"hello")
        wire.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.told.callback(self)


class GivenCase(TestCase):
    """A unix socket and an IPv6 one that another process has, too."""

    timeout = 60
    hub = False

    def setUp(self) -> None:
        """Sockets as systemd gives them: bound, with a mode and an owner of their own."""
        self.reactor: Any = HubReactor(the_reactor()) if self.hub else the_reactor()
        folder = Path(tempfile.mkdtemp(prefix="konnect-test-"))
        self.addCleanup(shutil.rmtree, folder)
        self.path = folder / "given.sock"
        self.unix = self.theirs(socket.AF_UNIX, str(self.path))
        self.path.chmod(0o660)
        self.inet6 = self.theirs(socket.AF_INET6, ("::", 0))

    def theirs(self, family: int, address: Any) -> socket.socket:
        """A socket that is theirs, and listens."""
        sock = socket.socket(family)
        self.addCleanup(sock.close)
        sock.bind(address)
        sock.listen(8)
        sock.settimeout(10)
        return sock

    def given(self, sock: socket.socket) -> int:
        """A descriptor as systemd passes it on; what is left of it goes with the test."""
        descriptor = os.dup(sock.fileno())
        self.addCleanup(os.close, descriptor)
        return descriptor

    def systemd(self, **named: socket.socket) -> None:
        """Let endpoint strings find these sockets by their names."""
        # Twisted reads the environment when it is imported.
        fds = ListenFDs([self.given(sock) for sock in named.values()], list(named))
        self.patch(_SystemdParser, "_sddaemon", fds)

    def call(self, sock: socket.socket) -> socket.socket:
        """Connect to it."""
        client = socket.socket(sock.family)
        self.addCleanup(client.close)
        client.settimeout(10)
        client.connect(sock.getsockname())
        return client

    async def serve(
        self, endpoint: Any, sock: socket.socket, *, tls: bool = False, ahead: bytes = b""
    ) -> Any:
        """Serve one client, who says `ahead` before all else, and stop; the server's protocol."""
        accepted: Deferred[Any] = Deferred()
        accepted.addTimeout(50, the_reactor())
        factory = Factory.forProtocol(lambda: Accepted(accepted))
        port: Any = await endpoint.listen(factory)
        host = port.getHost()
        if sock.family == socket.AF_UNIX:
            self.assertEqual(host.name, os.fsencode(self.path))
        else:
            self.assertEqual(host.port, sock.getsockname()[1])
        client = self.call(sock)
        client.sendall(ahead)
        heard = await deferToThread(read_tls if tls else read_plain, client)
        client.close()
        self.assertEqual(heard, b"hello")
        protocol = await accepted
        await port.stopListening()
        return protocol

    def still_theirs(self, sock: socket.socket) -> None:
        """Whoever connects behind the end waits for the next program."""
        self.call(sock)
        waits, _ = sock.accept()
        waits.close()


def read_plain(client: socket.socket) -> bytes:
    """What a server says until it closes."""
    client.sendall(b"hi")
    heard = b""
    while piece := client.recv(100):
        heard += piece
    return heard


def read_tls(client: socket.socket) -> bytes:
    """The same within TLS; the handshake is ours."""
    client.settimeout(None)  # else OpenSSL would not wait
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    p = pki()
    context.use_certificate_file(p.agent_cert)
    context.use_privatekey_file(p.agent_key)
    ssl = SSL.Connection(context, client)
    ssl.set_connect_state()
    ssl.send(b"hi")
    heard = ssl.recv(100)
    ssl.shutdown()
    return heard


def tls_on(endpoint: str) -> str:
    """The endpoint string that speaks TLS on another."""
    p = pki()
    settings = {"cert": p.agent_server_cert, "key": p.agent_server_key, "ca": p.agent_ca}
    settings["on"] = endpoint
    return "mtls" + "".join(f":{key}={quoteStringArgument(v)}" for key, v in settings.items())


class GivenTests(GivenCase):
    """What becomes of such a socket."""

    async def test_stays(self) -> None:
        """It serves and is theirs behind it; a unix socket's file keeps its mode and is not
        removed."""
        for sock in (self.unix, self.inet6):
            endpoint = GivenServer(self.reactor, self.given(sock), sock.family)
            protocol = await self.serve(endpoint, sock)
            self.assertEqual(hasattr(protocol.wire, "takes_views"), self.hub)
            self.still_theirs(sock)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o660)

    async def test_of_another_user(self) -> None:
        """It is served where its file may be neither changed nor removed."""
        for name in ("chmod", "unlink"):
            self.patch(os, name, None)
        endpoint = GivenServer(self.reactor, self.given(self.unix), socket.AF_UNIX)
        await self.serve(endpoint, self.unix)

    async def test_tls(self) -> None:
        """mtls:on= speaks TLS on it; on the hub, one direction of that can end alone."""
        self.systemd(a=self.unix, b=self.inet6)
        for domain, name, sock in (("UNIX", "a", self.unix), ("INET6", "b", self.inet6)):
            text = tls_on(f"systemd:domain={domain}:name={name}")
            protocol = await self.serve(server_endpoint(self.reactor, text), sock, tls=True)
            self.assertEqual(protocol.half, self.hub)
            self.assertIsNotNone(protocol.certificate)
            self.still_theirs(sock)

    async def test_behind_a_balancer(self) -> None:
        """It is taken as it is also where a balancer says first for whom it connects, with and
        without TLS behind that."""
        behind = "haproxy:systemd:domain=UNIX:name=a"
        for text in (behind, tls_on(behind)):
            self.systemd(a=self.unix)
            protocol = await self.serve(
                server_endpoint(self.reactor, text),
                self.unix,
                tls=text != behind,
                ahead=b"PROXY TCP4 192.0.2.7 192.0.2.8 4242 80\r\n",
            )
            self.assertEqual((protocol.peer.host, protocol.peer.port), ("192.0.2.7", 4242))
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o660)
            self.still_theirs(self.unix)

    async def test_ipv4_in_the_place_of_ipv6(self) -> None:
        """Where there is no IPv6, systemd opens an IPv4 socket for the same line of a unit."""
        inet = self.theirs(socket.AF_INET, ("127.0.0.1", 0))
        endpoint = GivenServer(self.reactor, self.given(inet), socket.AF_INET6)
        protocol = await self.serve(endpoint, inet)
        self.assertEqual(protocol.peer.host, "127.0.0.1")

    async def test_good_for_once(self) -> None:
        """A second endpoint with the same name does not take what has its number now."""
        self.systemd(a=self.unix)
        text = "systemd:domain=UNIX:name=a"
        port: Any = await server_endpoint(self.reactor, text).listen(Factory())
        others = [os.dup(self.inet6.fileno()) for _ in range(3)]
        for descriptor in others:
            self.addCleanup(os.close, descriptor)
        with self.assertRaises(OSError) as caught:
            await server_endpoint(self.reactor, text).listen(Factory())
        self.assertEqual(caught.exception.errno, errno.ENOTSOCK)
        await port.stopListening()

    async def test_nothing_left(self) -> None:
        """Behind the end, what was given is all that is open."""
        counts = set()
        for _ in range(3):
            endpoint = GivenServer(self.reactor, self.given(self.inet6), socket.AF_INET6)
            port: Any = await endpoint.listen(Factory())
            await port.stopListening()
            counts.add(len(descriptors()))
        first = min(counts)
        self.assertEqual(counts, {first, first + 1, first + 2})  # one for each that was given

    async def test_wrong(self) -> None:
        """What is no such socket fails with a word why, and leaves nothing open."""
        reading, writing = os.pipe()
        silent = socket.socket(socket.AF_INET6)
        for descriptor in (reading, writing):
            self.addCleanup(os.close, descriptor)
        self.addCleanup(silent.close)
        before = descriptors()
        for descriptor, family, kind, said in (
            (reading, socket.AF_UNIX, OSError, "non-socket"),
            (1 << 20, socket.AF_UNIX, OSError, "Bad file descriptor"),
            (silent.fileno(), socket.AF_INET6, ValueError, "no stream socket that listens"),
            (self.inet6.fileno(), socket.AF_UNIX, ValueError, "a socket of the domain INET6"),
            (self.unix.fileno(), socket.AF_INET6, ValueError, "a socket of the domain UNIX"),
        ):
            with self.assertRaises(kind) as caught:
                await GivenServer(self.reactor, descriptor, family).listen(Factory())
            self.assertIn(said, str(caught.exception))
        self.assertEqual(descriptors(), before)


class HubGivenTests(GivenTests):
    """The same on the hub."""

    hub = True


class ServerEndpointTests(GivenCase):
    """Endpoint strings."""

    def test_kinds(self) -> None:
        """Sockets of systemd's are taken as they are; all else is Twisted's."""
        self.systemd(a=self.unix, b=self.inet6)
        for description, ours in (
            ("systemd:domain=UNIX:name=a", True),
            ("systemd:domain=INET6:name=b", True),
            ("tcp:0:interface=127.0.0.1", False),
        ):
            endpoint = server_endpoint(self.reactor, description)
            self.assertEqual(isinstance(endpoint, GivenServer), ours, description)

    def test_no_such_socket(self) -> None:
        """A name that systemd does not know is told as such."""
        self.systemd(a=self.unix)
        for which in ("name=grpc", "index=7"):
            with self.assertRaises(ValueError) as caught:
                server_endpoint(self.reactor, f"systemd:domain=UNIX:{which}")
            self.assertIn("systemd has given no such socket", str(caught.exception))

    async def test_hubs_port(self) -> None:
        """On the hub it is a port of the hub's."""
        reactor: Any = HubReactor(the_reactor())
        endpoint = GivenServer(reactor, self.given(self.inet6), socket.AF_INET6)
        port: Any = await endpoint.listen(Factory())
        self.assertIsInstance(port, GivenPort)
        await port.stopListening()
