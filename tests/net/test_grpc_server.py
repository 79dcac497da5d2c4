"""Tests of konnect.net.grpc_server: routing, and peers that speak something else."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.net import grpc_server
from konnect.net.floods import DEFAULT
from konnect.net.grpc import GrpcProtocol
from konnect.net.grpc_server import PREFACE, GrpcServerFactory
from konnect.net.grpc_stream import GrpcStream, Metadata, StreamListener
from konnect.net.grpc_terms import own_terms
from konnect.net.keepalive import ANSWER_TIMEOUT, TICKS, Keepalive
from konnect.net.policing import AGENTS, CLIENTS, PingRules
from konnect.wire.grpc import Role
from tests.fakes import FakeLog, FakeSocket
from tests.net.streams import Listener
from tests.net.wires import Wire

PING_ANSWER = b"\x00\x00\x08\x06\x01\x00\x00\x00\x00keepaliv"


class GrpcServerTestCase(SynchronousTestCase):
    """A listener with one service."""

    pings: PingRules | None = None
    floods = DEFAULT

    def setUp(self) -> None:
        self.clock = Clock()
        self.cut: list[str] = []
        self.accepted: list[Metadata] = []
        self.factory = GrpcServerFactory(
            "the listener",
            {"/S/Known": self.accept},
            self.clock,
            keepalive_time=0.0 if self.pings else 60.0,
            floods=self.floods,
            pings=self.pings,
            on_cut=self.cut.append,
        )
        log = FakeLog()
        self.lines = log.lines
        self.patch(grpc_server, "log", log)
        self.sockets: list[FakeSocket] = []

    def accept(self, stream: GrpcStream, metadata: Metadata) -> StreamListener | None:
        """Take a stream of the one known method."""
        self.accepted.append(metadata)
        return Listener()

    def tearDown(self) -> None:
        for socket in self.sockets:
            if not socket.gone:
                socket.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.factory.connections, set())

    def connect(self, *, tls: bool = False) -> FakeSocket:
        """A peer has connected."""
        socket = FakeSocket(tls=tls)
        self.sockets.append(socket)
        socket.connect(self.factory.buildProtocol(None))
        return socket

    def call(self, path: str) -> list[object]:
        """What a client hears that opens a stream for `path`."""
        client = GrpcProtocol(own_terms(Role.CLIENT, self.clock, keepalive_time=0))
        wire = Wire(client, self.factory.buildProtocol(None))
        self.sockets += [wire.client, wire.server]
        wire.run()
        listener = Listener()
        client.open(path, [("agentid", "a")], listener, authority="any%2Fthing")
        wire.run()
        return listener.take()

    def reasons(self) -> list[str]:
        """The reasons in the log lines."""
        start = "the listener: lost 192.0.2.8:5678: "
        return [line.removeprefix(start) for line in self.lines]


class RoutingTests(GrpcServerTestCase):
    """Paths to listeners."""

    def test_known(self) -> None:
        """A known path reaches its service with the metadata."""
        self.assertEqual(self.call("/S/Known"), [])
        self.assertEqual(dict(self.accepted[0])["agentid"], "a")

    def test_unknown(self) -> None:
        """Unknown methods and services are UNIMPLEMENTED in grpc's words."""
        for path, text in (
            ("/S/Other", "unknown method Other for service S"),
            ("/Nope/Known", "unknown service Nope"),
            ("/S/Known/", "unknown service S/Known"),
            ("/S/Known/x", "unknown service S/Known"),
            ("//Known", "unknown service "),
            ("/x", 'malformed method name: "/x"'),
            ("/", 'malformed method name: "/"'),
            ("S/Known", 'malformed method name: "S/Known"'),
        ):
            self.assertEqual(self.call(path)[-1], ("ended", "UNIMPLEMENTED", text))
        self.assertEqual(self.accepted, [])

    def test_connections(self) -> None:
        """The factory knows its connections as long as they live."""
        socket = self.connect()
        self.assertEqual(len(self.factory.connections), 1)
        socket.lose()
        self.assertEqual(self.factory.connections, set())
        self.assertEqual(self.lines, [])


class CrowdTests(GrpcServerTestCase):
    """At most one connection that asks for nothing."""

    floods = replace(DEFAULT, idle=1)

    def test_one_that_is_lost(self) -> None:
        """Its stream ends with it, and it crowds out nobody."""
        self.call("/S/Known")
        idle = self.connect()
        self.sockets[1].lose()
        self.assertFalse(idle.gone)
        self.assertEqual(self.cut, [])


class PrefaceTests(GrpcServerTestCase):
    """What comes before HTTP/2."""

    def test_in_pieces(self) -> None:
        """The preface may come a byte at a time; before it, the server says nothing."""
        socket = self.connect()
        for i in range(len(PREFACE)):
            self.assertEqual(socket.take(), [])
            socket.deliver(PREFACE[i : i + 1])
        self.assertEqual(socket.written[3], 4, "SETTINGS comes first")

    def test_silence(self) -> None:
        """A peer that says too little for too long is dropped, with a line."""
        socket = self.connect()
        socket.deliver(PREFACE[:5])
        self.clock.advance(DEFAULT.preface_timeout - 0.1)
        self.assertFalse(socket.gone)
        self.clock.advance(0.2)
        self.assertTrue(socket.gone)
        self.assertEqual(self.reasons(), ["the peer did not begin HTTP/2 in time"])

    def test_in_time(self) -> None:
        """A peer that has begun has no limit any more."""
        socket = self.connect()
        socket.deliver(PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        self.clock.advance(DEFAULT.preface_timeout)
        self.assertFalse(socket.gone)

    def test_asked_whether_it_is_there(self) -> None:
        """Keepalive begins with HTTP/2, or when the limit for that is over if it is far longer;
        who leaves before is forgotten."""
        for idle, begins in ((60.0, 0.0), (3600.0, DEFAULT.preface_timeout)):
            self.factory._terms.keepalive = Keepalive(self.clock, idle)
            self.factory._terms.watched_early = not begins
            socket, other = self.connect(), self.connect()
            for each in (socket, other):
                each.deliver(PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            other.lose()
            self.clock.advance(begins)
            for _ in range(TICKS + 1):
                self.assertNotIn(b"keepaliv", socket.written)
                self.clock.advance(idle / TICKS)
            self.assertIn(b"keepaliv", socket.written)
            socket.deliver(PING_ANSWER)
            self.clock.advance(ANSWER_TIMEOUT)
            for _ in range(TICKS):
                self.clock.advance(idle / TICKS)
            self.assertEqual(socket.written.count(b"keepaliv"), 2)
            self.clock.advance(ANSWER_TIMEOUT)
            self.assertTrue(socket.gone)

    def test_watched(self) -> None:
        """Which of the two it is follows from the listener's times."""
        for idle, early in ((0.0, False), (60.0, True), (79.9, True), (80.0, False)):
            factory = GrpcServerFactory("it", {}, self.clock, keepalive_time=idle)
            self.assertEqual(factory._terms.watched_early, early)

    def test_http1(self) -> None:
        """HTTP/1 gets one readable answer and nothing else, and the port goes on."""
        for request in (b"GET / HTTP/1.1\r\n\r\n", b"POST /x", b"PRI * HTTP/1.1\r\n"):
            socket = self.connect()
            socket.deliver(request)
            head, _, body = socket.written.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 400 Bad Request\r\n"), socket.log)
            self.assertIn(b"Content-Length: %d" % len(body), head)
            self.assertIn("close", socket.take())
            socket.protocol.dataReceived(b"more of it")
            self.assertEqual(socket.take(), [])
            socket.lose()
        self.assertEqual(self.reasons(), ["HTTP/1 was spoken to a gRPC port"] * 3)
        self.connect()

    def test_other_nonsense(self) -> None:
        """TLS to a plain port and garbage are named and closed without an answer."""
        for data, why in (
            (b"\x16\x03\x01\x02\x00", "TLS was spoken to a plain gRPC port"),
            (b"\x00\xff\x00", "the peer spoke neither HTTP/2 nor anything known"),
            (b"hello", "the peer spoke neither HTTP/2 nor anything known"),
        ):
            socket = self.connect()
            socket.deliver(data)
            self.assertEqual(socket.take(), ["close"])
            socket.lose()
            self.assertEqual(self.reasons()[-1], why)

    def test_no_alpn(self) -> None:
        """A TLS peer without h2 is dropped before a word, with a line."""
        socket = self.connect(tls=True)
        socket.protocol.handshakeCompleted()
        self.assertEqual(socket.take(), ["abort"])
        self.assertEqual(self.reasons(), ["the peer did not agree on HTTP/2 by ALPN (h2)"])

    def test_lost(self) -> None:
        """A peer that breaks off before a word is named once in its line."""
        self.connect().lose(ConnectionLost())
        self.assertEqual(self.reasons(), ["connection lost"])


class EagerTests(GrpcServerTestCase):
    """Agents that ping more often than every 30 seconds."""

    pings: PingRules | None = AGENTS

    def link(self) -> Wire:
        """A client that is connected."""
        client = GrpcProtocol(own_terms(Role.CLIENT, self.clock, keepalive_time=0))
        wire = Wire(client, self.factory.buildProtocol(None))
        self.sockets += [wire.client, wire.server]
        wire.run()
        self.client = client
        return wire

    def ping(self, wire: Wire, times: int, every: float) -> None:
        """Ping as a keepalive does."""
        for _ in range(times):
            self.clock.advance(every)
            if not wire.client.gone:
                self.client.ask()
                wire.run()

    def test_in_time(self) -> None:
        """Pings that are far enough apart, give or take a little, go on for ever."""
        wire = self.link()
        self.ping(wire, 20, every=29.0)
        self.assertFalse(wire.client.gone)
        self.assertEqual(self.cut, [])

    def test_too_often(self) -> None:
        """Two early ones are forgiven, a third in a row ends the connection; the peer is told."""
        wire = self.link()
        self.ping(wire, 3, every=10.0)
        self.assertFalse(wire.client.gone)
        self.ping(wire, 1, every=10.0)
        self.assertTrue(self.client.pinged_too_often)
        self.assertTrue(wire.server.gone)
        self.assertEqual(self.cut, ["too_many_pings"])
        self.assertIn("pings too often (they have to be 30 s apart)", self.lines[-1])

    def test_beside_data(self) -> None:
        """Who is sent something may ping: that is how grpc measures the path."""
        wire = self.link()
        stream = self.client.open("/S/Known", [], Listener(), authority="a")
        wire.run()
        (protocol,) = self.factory.connections
        (served,) = protocol._streams.values()
        for _ in range(10):
            served.send(b"data")
            wire.run()
            # As grpc's: all of the window is given back first.
            self.client._wire.streams.open_window(0, 9)
            self.ping(wire, 1, every=0.01)
        self.assertEqual(self.cut, [])
        stream.reset()
        wire.run()


class EagerClientTests(EagerTests):
    """Clients: five minutes apart, and hardly ever without a stream."""

    pings = CLIENTS

    def test_in_time(self) -> None:
        """With a stream every five minutes is fine."""
        wire = self.link()
        stream = self.client.open("/S/Known", [], Listener(), authority="a")
        self.ping(wire, 10, every=300.0)
        self.assertEqual(self.cut, [])
        stream.reset()
        wire.run()
        self.ping(wire, 3, every=300.0)
        self.assertEqual(self.cut, ["too_many_pings"])

    def test_too_often(self) -> None:
        """Without a stream the rate makes no difference."""
        wire = self.link()
        self.ping(wire, 4, every=10.0)
        self.assertEqual(self.cut, ["too_many_pings"])
