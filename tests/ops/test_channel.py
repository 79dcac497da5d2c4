"""Tests of konnect.ops.channel: what one connection of a web site may take."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import ClientCreator, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from konnect.ops.channel import HEAD, LINES, REFUSED_FOR, ROOM, SMALL
from konnect.ops.web import IDLE_TIMEOUT, Answer, Site
from tests.ops.web import connect

BEGIN = b"GET /a HTTP/1.1\r\nHost: x\r\n"
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


class HalfClosing(StringTransport):
    """A transport that can end its sending side, as sockets can."""

    ended = False

    def loseWriteConnection(self) -> None:
        """End it."""
        self.ended = True


def head(size: int, lines: int = 3) -> bytes:
    """A request's head of so many bytes, in so many lines, the empty one not counted."""
    filled = BEGIN + b"a: b\r\n" * (lines - 3)
    return filled + b"b: " + b"x" * (size - len(filled) - 7) + b"\r\n\r\n"


class ChannelTestCase(SynchronousTestCase):
    """Base: a site of one page."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.site: Any = Site({b"/a": lambda _: Answer(b"yes")}, self.clock)
        self.protocols: list[Any] = []

    def connect(self) -> tuple[Any, StringTransport]:
        """A connection, which ends with the test at the latest."""
        protocol, transport = connect(self.site)
        self.protocols.append(protocol)
        return protocol, transport

    def lose(self, protocol: Any) -> None:
        """The connection is gone."""
        self.protocols.remove(protocol)
        protocol.connectionLost(Failure(ConnectionDone()))

    def tearDown(self) -> None:
        """Nothing is counted for connections that are gone, nor waits for them."""
        while self.protocols:
            self.lose(self.protocols[0])
        self.assertEqual((self.site.heads, self.site._open), (0, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SizeTests(ChannelTestCase):
    """Large heads."""

    def answer(self, data: bytes, piece: int = 65536) -> bytes:
        """What a connection is answered that gets `data` in pieces of that size."""
        protocol, transport = self.connect()
        for start in range(0, len(data), piece):
            protocol.dataReceived(data[start : start + piece])
        return bytes(transport.value())

    def test_the_largest(self) -> None:
        """A head as large as Go takes it is answered."""
        self.assertEqual(len(head(HEAD)), HEAD)
        self.assertEqual(self.answer(head(HEAD)).partition(b"\r\n\r\n")[2], b"yes")

    def test_too_large(self) -> None:
        """A larger one is refused as Go refuses it, once, whatever its lines are."""
        for data in (
            head(HEAD + 1),
            head(HEAD + 1, LINES),
            BEGIN + b"y" * 2 * HEAD,
            b"y" * 2 * HEAD,
            BEGIN + b"c: " + b"y" * 2 * HEAD + b"\r\n\r\n",
        ):
            found = self.answer(data)
            self.assertEqual(found.count(b"HTTP/1.1"), 1)
            self.assertTrue(found.startswith(TOO_LARGE))
            self.assertIn(b"\r\nConnection: close\r\n", found)
            self.assertTrue(found.endswith(b"\r\n\r\n431 Request Header Fields Too Large"))

    def test_at_once(self) -> None:
        """So is one that comes in one read."""
        self.assertTrue(self.answer(head(HEAD + 1), HEAD * 2).startswith(TOO_LARGE))
        self.assertTrue(self.answer(head(HEAD), HEAD * 2).startswith(OK))

    def test_lines(self) -> None:
        """And one of too many lines, folded ones among them."""
        self.assertTrue(self.answer(head(SMALL, LINES - 1)).startswith(OK))
        self.assertTrue(self.answer(head(SMALL, LINES)).startswith(TOO_LARGE))
        self.assertTrue(self.answer(BEGIN + b"a: b\r\n" + b" c\r\n" * LINES).startswith(TOO_LARGE))

    def test_pieces(self) -> None:
        """Heads may come in any pieces, line ends that are cut among them."""
        for piece in range(1, 30):
            self.assertTrue(self.answer(head(120), piece).startswith(OK), piece)

    def test_not_looked_at_again(self) -> None:
        """What has come of a line is not gone through at each further piece."""
        protocol, transport = self.connect()
        protocol.dataReceived(BEGIN)
        for _ in range(50):
            protocol.dataReceived(b"x" * 1000)
        self.assertEqual(len(protocol._buffer), 0)
        protocol.dataReceived(b": y\r\n\r\n")
        self.assertTrue(transport.value().startswith(OK))

    def test_one_after_another(self) -> None:
        """Each request of a connection has its own head."""
        protocol, transport = self.connect()
        for _ in range(3):
            data = head(HEAD, LINES - 1)
            for start in range(0, HEAD, 65536):
                protocol.dataReceived(data[start : start + 65536])
        self.assertEqual(transport.value().count(OK), 3)
        self.assertEqual(self.site.heads, 0)

    def test_behind_a_body(self) -> None:
        """What begins behind a body in the same read is the next head."""
        protocol, transport = self.connect()
        first = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
        second = head(100)
        protocol.dataReceived(first + b"he")
        protocol.dataReceived(b"llo" + second[:30])
        protocol.dataReceived(second[30:60])
        protocol.dataReceived(second[60:])
        self.assertEqual(transport.value().count(OK), 2)

    def test_bodies_are_no_heads(self) -> None:
        """The bytes of a body do not count."""
        size = 3 * HEAD
        first = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
        self.assertTrue(self.answer(first + b"x" * size).startswith(OK))


class RoomTests(ChannelTestCase):
    """What large heads may take together."""

    def fill(self) -> list[Any]:
        """Use all the room there is."""
        protocols = []
        data = BEGIN + b"y" * (HEAD - len(BEGIN))
        for _ in range(ROOM // (HEAD - SMALL)):
            protocols.append(self.connect()[0])
            protocols[-1].dataReceived(data)
        return protocols

    def test_all_together(self) -> None:
        """When there is no more room, large heads are refused and small ones are not."""
        protocols = self.fill()
        self.assertGreater(self.site.heads, ROOM - HEAD)
        protocol, transport = self.connect()
        protocol.dataReceived(head(HEAD))
        self.assertTrue(transport.value().startswith(TOO_LARGE))
        protocol, transport = self.connect()
        protocol.dataReceived(head(SMALL))
        self.assertTrue(transport.value().startswith(OK))
        self.lose(protocols[0])
        protocol, transport = self.connect()
        protocol.dataReceived(head(HEAD))
        self.assertTrue(transport.value().startswith(OK))

    def test_until_the_answer(self) -> None:
        """A head takes its room until its request is answered."""
        answers: list[Deferred[Answer]] = []

        def page(_: object) -> Deferred[Answer]:
            answers.append(Deferred())
            return answers[-1]

        self.site = Site({b"/a": page}, self.clock)
        protocol, transport = self.connect()
        protocol.dataReceived(head(HEAD))
        self.assertEqual(transport.value(), b"")
        self.assertEqual(self.site.heads, HEAD - SMALL)
        answers[0].callback(Answer(b"now"))
        self.assertTrue(transport.value().endswith(b"now"))
        self.assertEqual(self.site.heads, 0)


class EndTests(ChannelTestCase):
    """How connections end."""

    def test_slow(self) -> None:
        """A head has to come in time, however many bytes come."""
        protocol, transport = self.connect()
        self.clock.advance(IDLE_TIMEOUT - 1)
        for _ in range(int(IDLE_TIMEOUT)):
            protocol.dataReceived(b"GET / HTTP/1.1\r\n"[:1])
            self.assertFalse(transport.disconnecting)
            self.clock.advance(1)
        self.assertEqual((transport.disconnecting, transport.disconnected), (True, False))

    def test_slow_bodies(self) -> None:
        """A body has no limit in all, as in Go."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        for _ in range(8):
            self.clock.advance(IDLE_TIMEOUT - 1)
            protocol.dataReceived(b"x")
        self.assertFalse(transport.disconnecting)

    def test_tls(self) -> None:
        """TLS to the plain port is answered at once, readably, and the connection is closed."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"\x16\x03\x01\x02\x00\x01")
        self.assertIn(b"This port speaks HTTP, not TLS\n", transport.value())
        self.assertTrue(transport.disconnecting)
        protocol.dataReceived(head(100))
        self.assertEqual(transport.value().count(b"HTTP/1.1"), 1)

    def test_tls_within_a_body(self) -> None:
        """Only a connection that begins with TLS speaks it."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
        protocol.dataReceived(b"\x16\x03")
        self.assertTrue(transport.value().startswith(OK))

    def test_nonsense(self) -> None:
        """What is no request is answered as Go answers it."""
        for data in (b"nonsense\r\n\r\n", BEGIN + b"no header\r\n\r\n" + head(100)):
            protocol, transport = self.connect()
            protocol.dataReceived(data)
            answer = transport.value()
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 Bad Request\r\n"))
            self.assertIn(b"\r\nConnection: close\r\n", answer)
            self.assertTrue(answer.endswith(b"\r\n\r\n400 Bad Request"))
            self.assertEqual(answer.count(b"HTTP/1.1"), 1)
            self.assertTrue(transport.disconnecting)

    def test_refused_clients_may_read_why(self) -> None:
        """A client that still sends has a moment to read the answer; then it is cut."""
        transport = HalfClosing()
        protocol: Any = self.site.buildProtocol(None)
        protocol.makeConnection(transport)
        self.assertIs(transport.producer, protocol)
        for _ in range(20):
            protocol.dataReceived(b"x" * 65536)
        self.assertTrue(transport.value().startswith(TOO_LARGE))
        self.assertEqual((transport.ended, transport.disconnecting), (True, False))
        self.assertIsNone(transport.producer, "a paused one would hold the end back")
        self.assertEqual(len(protocol._held) + len(protocol._buffer), 0)
        self.clock.advance(REFUSED_FOR)
        self.assertTrue(transport.disconnected)
        protocol.connectionLost(Failure(ConnectionDone()))

    def test_not_taken(self) -> None:
        """A client that does not take its last answer is cut in the end."""
        for data in (BEGIN + b"Connection: close\r\n\r\n", b"GET /a HTTP/1.0\r\n\r\n"):
            protocol, transport = self.connect()
            protocol.dataReceived(data)
            self.assertTrue(transport.disconnecting)
            self.assertFalse(transport.disconnected)
            self.clock.advance(IDLE_TIMEOUT)
            self.assertTrue(transport.disconnected)

    def test_options(self) -> None:
        """`close` may stand anywhere in any line of options."""
        for options, last in (
            (b"close", True),
            (b"close, TE", True),
            (b"TE,Close", True),
            (b"TE\r\nConnection: close", True),
            (b"closed, TE", False),
        ):
            protocol, transport = self.connect()
            protocol.dataReceived(BEGIN + b"Connection: %s\r\n\r\n" % options)
            self.assertEqual(transport.disconnecting, last, options)
            self.assertEqual(b"Connection: close\r\n" in transport.value(), last, options)


class HostTests(ChannelTestCase):
    """RFC 9112 section 3.2, as Go's servers see to it."""

    def refusal(self, head: bytes) -> bytes:
        """The status line that a request is refused with; empty if it is served."""
        protocol, transport = self.connect()
        protocol.dataReceived(head + b"\r\n" + BEGIN + b"\r\n")
        answers: list[bytes] = transport.value().split(b"HTTP/1.")[1:]
        if len(answers) == 1 and b"Connection: close\r\n" in answers[0]:
            status, _, rest = answers[0].partition(b"\r\n")
            said = status.removeprefix(b"1 ")
            self.assertTrue(rest.endswith(b"\r\n\r\n" + said))
            self.assertIn(b"Content-Length: %d\r\n" % len(said), rest)
            self.assertTrue(transport.disconnecting)
            return said
        self.assertTrue(answers[0][1:].startswith(b" 200 OK"), answers)
        return b""

    def test_none(self) -> None:
        """HTTP/1.1 demands one, whatever the target; HTTP/1.0 does not."""
        missing = b"400 Bad Request: missing required Host header"
        self.assertEqual(self.refusal(b"GET /a HTTP/1.1\r\n"), missing)
        self.assertEqual(self.refusal(b"GET http://x/a HTTP/1.1\r\nHos: t\r\n"), missing)
        body = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"
        self.assertEqual(self.refusal(body), missing)
        self.assertEqual(self.refusal(b"GET /a HTTP/1.0\r\n"), b"")
        self.assertEqual(self.refusal(b"GET /a HTTP/1.1\r\nHost:\r\n"), b"")

    def test_several(self) -> None:
        """More than one is refused, were they the same."""
        for version in b"10":
            head = b"GET /a HTTP/1.%c\r\nHost: x\r\nhost: x\r\n" % version
            self.assertEqual(self.refusal(head), b"400 Bad Request")

    def test_malformed(self) -> None:
        """So is one that cannot be a host."""
        malformed = b"400 Bad Request: malformed Host header"
        for host in (b"a b", b"a/b", b"u@a", b"\xe9", b"a\x01", b'"', b"a?b"):
            for version in b"10":
                head = b"GET /a HTTP/1.%c\r\nHost: %s\r\n" % (version, host)
                self.assertEqual(self.refusal(head), malformed, host)
        for host in (b"a:1", b"[::1%25eth0]:80", b"a_b.c", b"127.0.0.1"):
            self.assertEqual(self.refusal(b"GET /a HTTP/1.1\r\nHost: %s\r\n" % host), b"")


class Reader(Protocol):
    """Keeps what it reads."""

    def __init__(self) -> None:
        self.read = b""
        self.over: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.read += data

    def connectionLost(self, reason: object = None) -> None:
        self.over.callback(None)


class LoopbackTests(TestCase):
    """With a socket."""

    async def test_too_large(self) -> None:
        """A client that sends much more than a head may be reads the refusal."""
        from twisted.internet import reactor as installed

        reactor: Any = installed
        site: Any = Site({b"/a": lambda _: Answer(b"yes")}, reactor)
        gone: Deferred[None] = Deferred()
        self.patch(site, "gone", lambda: gone.callback(None))
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        connecting = ClientCreator(reactor, Reader).connectTCP("127.0.0.1", port.getHost().port)
        reader: Any = await connecting
        reader.transport.write(BEGIN + b"y" * (8 << 20))
        await reader.over
        await gone
        self.assertTrue(reader.read.startswith(TOO_LARGE))
