"""Tests of konnect.client.connect_dial, before a scripted proxy."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError, NoProtocol
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from konnect.client.connect_dial import LINGER, ConnectDialer
from konnect.client.destination import Destination
from konnect.client.errors import (
    ConnectRefused,
    DialCancelled,
    DialFailed,
    DialTimeout,
    StreamSetupFailed,
    TunnelClosed,
)
from konnect.wire.connect import ESTABLISHED, error_response
from tests.client.scripted import (
    CountingFactory,
    HalfCloseableRecorder,
    MemoryEndpoint,
    Recorder,
)

WEB = Destination("10.0.0.7", 80)


class RawProxy(Protocol):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.data = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True


class ConnectCase(SynchronousTestCase):
    """Every test must leave no delayed call and no connection behind."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = MemoryEndpoint(self.clock, RawProxy)
        self.dialer = ConnectDialer(self.endpoint, self.clock, user_agent="tests/1")
        self.factory = CountingFactory()

    def tearDown(self) -> None:
        closing = self.dialer.close()
        self.endpoint.flush()
        self.successResultOf(closing)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @property
    def proxy(self) -> Any:
        """The scripted proxy."""
        return self.endpoint.peers[-1]

    def dial(self) -> Deferred[Any]:
        """Dial, up to the proxy's having the request."""
        dialed = self.dialer.dial(WEB, self.factory)
        self.endpoint.flush()
        return dialed

    def answer(self, data: bytes) -> None:
        """Let the proxy say something."""
        self.proxy.transport.write(data)
        self.endpoint.flush()

    def open(self, make: Any = Recorder) -> Any:
        """An open tunnel's protocol."""
        self.factory = CountingFactory(make)
        dialed = self.dial()
        self.answer(ESTABLISHED)
        return self.successResultOf(dialed)


class OpenedTests(ConnectCase):
    """A 200."""

    def test_asks(self) -> None:
        """The request names the destination and the user agent."""
        self.dial().addErrback(lambda _: None)
        head, _, rest = self.proxy.data.partition(b"\r\n\r\n")
        self.assertEqual(
            head.split(b"\r\n"),
            [b"CONNECT 10.0.0.7:80 HTTP/1.1", b"Host: 127.0.0.1", b"User-Agent: tests/1"],
        )
        self.assertEqual(rest, b"")

    def test_hands_the_transport_over(self) -> None:
        """The protocol is connected once, to the endpoint's own transport."""
        recorder = self.open()
        self.assertEqual(recorder.made, 1)
        self.assertEqual(self.factory.address, IPv4Address("TCP", "10.0.0.7", 80))
        question = len(self.proxy.data)
        recorder.transport.write(b"hello")
        self.answer(b"hi")
        self.assertEqual(self.proxy.data[question:], b"hello")
        self.assertEqual(recorder.data, [b"hi"])
        self.assertEqual((self.factory.started, self.factory.stopped), (1, 0))

    def test_answer_in_any_pieces(self) -> None:
        """A head that comes byte by byte, with bytes behind it, is the same."""
        dialed = self.dial()
        for byte in ESTABLISHED + b"early":
            self.answer(bytes([byte]))
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(dialed).bytes, b"early")

    def test_keeps_bytes_behind_the_head(self) -> None:
        """Bytes behind the head come after the caller has the protocol, and before any other."""
        dialed = self.dial()
        seen: list[bytes] = []

        def look(recorder: Recorder) -> Recorder:
            seen.append(recorder.bytes)
            return recorder

        dialed.addCallback(look)
        self.proxy.transport.write(ESTABLISHED + b"220 ")
        self.endpoint.flush()
        self.answer(b"hello")
        self.assertEqual(seen, [b""])
        self.assertEqual(self.successResultOf(dialed).data, [b"220 ", b"hello"])

    def test_early_bytes_wait_for_a_paused_protocol(self) -> None:
        """A protocol that pauses when it is connected is given nothing until it resumes."""

        class Pausing(Recorder):
            def connectionMade(self) -> None:
                self.tunnel.pauseProducing()

        self.factory = CountingFactory(Pausing)
        dialed = self.dial()
        self.answer(ESTABLISHED + b"220 ")
        recorder = self.successResultOf(dialed)
        self.clock.advance(0)
        self.answer(b"hel")
        self.assertEqual(recorder.data, [])
        recorder.tunnel.resumeProducing()
        self.assertEqual(recorder.data, [])
        self.clock.advance(0)
        self.assertEqual(recorder.bytes, b"220 hel")
        self.answer(b"lo")
        self.assertEqual(recorder.bytes, b"220 hello")

    def test_early_bytes_before_an_end_that_a_paused_protocol_waits_for(self) -> None:
        """A connection that is lost under a paused protocol has given it the bytes before."""

        class Pausing(Recorder):
            def connectionMade(self) -> None:
                self.tunnel.pauseProducing()

        self.factory = CountingFactory(Pausing)
        dialed = self.dial()
        self.answer(ESTABLISHED + b"bye")
        recorder = self.successResultOf(dialed)
        self.proxy.transport.loseConnection()
        self.endpoint.flush()
        self.assertEqual((recorder.bytes, len(recorder.lost)), (b"bye", 1))

    def test_the_transport_before_early_bytes(self) -> None:
        """What a protocol is given while bytes wait for it is as good as the transport."""
        dialed = self.dial()
        self.answer(ESTABLISHED + b"early")
        recorder = self.successResultOf(dialed)
        self.assertTrue(IConsumer.providedBy(recorder.transport))
        question = len(self.proxy.data)
        recorder.tunnel.write(b"hello")
        self.endpoint.flush()
        self.assertEqual(self.proxy.data[question:], b"hello")
        recorder.tunnel.abortConnection()
        self.endpoint.flush()
        self.assertEqual((recorder.bytes, len(recorder.lost)), (b"early", 1))

    def test_no_early_bytes_behind_the_protocols_own_end(self) -> None:
        """A protocol that ends the connection is given nothing any more, as by the transport."""

        class Ending(Recorder):
            def connectionMade(self) -> None:
                getattr(self.tunnel, end)()

        for end in ("loseConnection", "abortConnection", "stopProducing"):
            with self.subTest(end):
                self.factory = CountingFactory(Ending)
                dialed = self.dial()
                self.answer(ESTABLISHED + b"early")
                recorder = self.successResultOf(dialed)
                self.assertEqual((recorder.data, len(recorder.lost)), ([], 1))

    def test_aborting_on_early_bytes(self) -> None:
        """A protocol that aborts when it is given them gets nothing of what made them due."""

        class Aborting(Recorder):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                self.tunnel.abortConnection()

        self.factory = CountingFactory(Aborting)
        dialed = self.dial()
        # Two records of TLS that came together.
        for record in (ESTABLISHED + b"early", b"behind"):
            self.endpoint.clients[-1].dataReceived(record)
        self.endpoint.flush()
        recorder = self.successResultOf(dialed)
        self.assertEqual((recorder.data, len(recorder.lost)), ([b"early"], 1))

    def test_a_protocol_that_raises_when_it_is_connected(self) -> None:
        """The dial fails with the error, and nothing of it is left."""

        class Raising(Recorder):
            def connectionMade(self) -> None:
                made.append(self)
                raise ZeroDivisionError("on purpose")

        made: list[Recorder] = []
        for early in (b"", b"early"):
            self.factory = CountingFactory(Raising)
            dialed = self.dial()
            self.answer(ESTABLISHED + early)
            self.failureResultOf(dialed, ZeroDivisionError)
            self.assertTrue(self.proxy.lost)
            recorder = made.pop()
            self.assertEqual((recorder.data, len(recorder.lost)), ([], 1))
            self.assertEqual((self.factory.started, self.factory.stopped), (1, 1))

    def test_early_bytes_and_the_end_at_once(self) -> None:
        """Bytes behind the head are delivered before an end that follows them directly."""
        dialed = self.dial()
        self.proxy.transport.write(ESTABLISHED + b"all")
        self.proxy.transport.loseConnection()
        self.endpoint.flush()
        recorder = self.successResultOf(dialed)
        self.assertEqual((recorder.data, len(recorder.lost)), ([b"all"], 1))

    def test_end(self) -> None:
        """The protocol is told the transport's own reason, then the factory is stopped."""
        recorder = self.open()
        self.proxy.transport.loseConnection()
        self.endpoint.flush()
        (reason,) = recorder.lost
        reason.trap(ConnectionDone)
        self.assertEqual(self.factory.stopped, 1)


class HalfCloseTests(ConnectCase):
    """The end of one direction."""

    def connection(self, recorder: Any) -> Any:
        """The protocol that the transport speaks to."""
        return recorder.transport.protocol

    def test_told_to_who_can_be_told(self) -> None:
        """A protocol with half-close is told of both ends and keeps the transport."""
        recorder = self.open(HalfCloseableRecorder)
        self.connection(recorder).readConnectionLost()
        self.connection(recorder).writeConnectionLost()
        self.endpoint.flush()
        self.assertTrue(recorder.read_ended and recorder.write_ended)
        self.assertEqual(recorder.lost, [])

    def test_closes_for_others(self) -> None:
        """Without half-close, the peer's end of stream flushes and closes."""
        recorder = self.open()
        recorder.transport.write(b"last")
        self.connection(recorder).readConnectionLost()
        self.connection(recorder).writeConnectionLost()
        self.endpoint.flush()
        self.assertTrue(self.proxy.data.endswith(b"last"))
        self.assertEqual(len(recorder.lost), 1)

    def test_closing_is_bounded(self) -> None:
        """A peer that has ended and does not read is not waited for longer than 10 seconds."""
        recorder = self.open()
        aborted: list[bool] = []
        recorder.transport.abortConnection = lambda: aborted.append(True)
        self.connection(recorder).readConnectionLost()
        self.clock.advance(9.9)
        self.assertEqual(aborted, [])
        self.clock.advance(0.1)
        self.assertEqual(aborted, [True])

    def test_closing_while_bytes_go_out(self) -> None:
        """A slow peer gets all that was written before: over TLS its own bytes are no sign that it
        has ours."""
        recorder = self.open()
        connection, transport = self.connection(recorder), recorder.transport
        aborted: list[bool] = []
        transport.abortConnection = lambda: aborted.append(True)
        connection._secure = transport.disconnecting = True
        transport.unwritten = 3
        connection.dataReceived(b"progress")
        for left in (2, 1, 0):
            transport.unwritten = left
            self.clock.advance(LINGER)
            self.assertEqual(aborted, [])
        self.clock.advance(LINGER)
        self.assertEqual(aborted, [True])

    def test_before_the_answer(self) -> None:
        """A proxy that ends its stream instead of answering fails the dial."""
        dialed = self.dial()
        self.endpoint.clients[-1].readConnectionLost()
        self.endpoint.flush()
        self.failureResultOf(dialed, TunnelClosed)


class FailedTests(ConnectCase):
    """Dials that come to nothing: typed, and nothing is left."""

    def failing(self, dialed: Deferred[Any], kind: type[DialFailed]) -> Any:
        """Check that a dial failed with exactly `kind` and left nothing."""
        self.endpoint.flush()
        problem = self.failureResultOf(dialed, DialFailed).value
        self.assertIs(type(problem), kind)
        self.assertEqual((self.factory.started, self.factory.stopped), (1, 1))
        self.assertTrue(all(peer.lost for peer in self.endpoint.peers))
        return problem

    def test_refused(self) -> None:
        """Another status fails the dial with the status and the body's text."""
        dialed = self.dial()
        text = "dial tcp 10.0.0.7:80: connect: connection refused"
        self.answer(error_response(502, text))
        problem = self.failing(dialed, ConnectRefused)
        self.assertEqual((problem.reason, problem.status), ("endpoint", 502))
        self.assertEqual((problem.status_line, problem.body), ("502 Bad Gateway", text))
        self.assertEqual(str(problem), f"502 Bad Gateway: {text}")

    def test_refused_without_a_length(self) -> None:
        """A body without a Content-Length ends with the connection."""
        dialed = self.dial()
        self.answer(b"HTTP/1.1 500 Internal Server Error\r\n\r\ncurrently no tunnels ")
        self.assertNoResult(dialed)
        self.answer(b"available")
        self.proxy.transport.loseConnection()
        problem = self.failing(dialed, ConnectRefused)
        self.assertEqual(problem.body, "currently no tunnels available")

    def test_refused_without_a_body(self) -> None:
        """A bare status is told as it is."""
        dialed = self.dial()
        self.answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(str(self.failing(dialed, ConnectRefused)), "403 Forbidden")

    def test_no_http(self) -> None:
        """An answer that is no HTTP fails the dial at once."""
        dialed = self.dial()
        self.answer(b"SSH-2.0-OpenSSH_9.2\r\n")
        problem = self.failing(dialed, DialFailed)
        self.assertEqual(problem.reason, "unknown")
        self.assertIn("no HTTP", str(problem))

    def test_no_answer(self) -> None:
        """A proxy that closes without an answer fails the dial."""
        dialed = self.dial()
        self.proxy.transport.loseConnection()
        problem = self.failing(dialed, TunnelClosed)
        self.assertIn("without an answer", str(problem))

    def test_silence(self) -> None:
        """After 30 seconds of silence the connection is dropped."""
        dialed = self.dial()
        self.clock.advance(30)
        self.failing(dialed, DialTimeout)

    def test_silence_within_a_refusal(self) -> None:
        """A refusal is told as one, though its body does not end (as a chunked one, which is not
        decoded, on a connection that the proxy keeps)."""
        for field in (b"Content-Length: 100", b"Transfer-Encoding: chunked"):
            self.factory = CountingFactory()
            dialed = self.dial()
            self.answer(b"HTTP/1.1 502 Bad Gateway\r\n%b\r\n\r\ndial" % field)
            self.clock.advance(LINGER - 1)
            self.assertNoResult(dialed)
            self.clock.advance(1)
            problem = self.failing(dialed, ConnectRefused)
            self.assertEqual((problem.status, problem.body), (502, "dial"))

    def test_proxy_not_reached_in_time(self) -> None:
        """A connection attempt that takes too long is cancelled."""
        self.endpoint.slow = True
        dialed = self.dial()
        self.clock.advance(30)
        self.failing(dialed, StreamSetupFailed)
        self.assertEqual(self.endpoint.cancelled, 1)

    def test_proxy_unreachable(self) -> None:
        """A refused connection to the proxy fails the dial with the reason."""
        self.endpoint.failure = ConnectionRefusedError()
        problem = self.failing(self.dial(), StreamSetupFailed)
        self.assertEqual(str(problem), "cannot reach the proxy: connection refused")

    def test_cancelled_while_connecting(self) -> None:
        """Cancelling gives the connection attempt up."""
        self.endpoint.slow = True
        dialed = self.dial()
        dialed.cancel()
        self.failing(dialed, DialCancelled)
        self.assertEqual(self.endpoint.cancelled, 1)

    def test_cancelled_while_waiting(self) -> None:
        """Cancelling drops the connection."""
        dialed = self.dial()
        dialed.cancel()
        self.failing(dialed, DialCancelled)

    def test_no_protocol(self) -> None:
        """A factory that builds nothing fails the dial and drops the connection."""
        self.factory.buildProtocol = lambda addr: None  # type: ignore[assignment, method-assign, return-value]
        dialed = self.dial()
        self.answer(ESTABLISHED)
        self.failureResultOf(dialed, NoProtocol)
        self.assertTrue(self.proxy.lost)

    def test_not_an_address(self) -> None:
        """A host that cannot stand in a request is refused before anything is opened."""
        dialed = self.dialer.dial(Destination("user@host", 80), self.factory)
        self.failureResultOf(dialed, ValueError)
        self.assertEqual(self.endpoint.peers, [])

    def test_close(self) -> None:
        """close fails dials, ends tunnels, and lets no new ones begin."""
        recorder = self.open()
        waiting = self.dial()
        self.endpoint.slow = True
        connecting = self.dial()
        closing = self.dialer.close()
        self.endpoint.flush()
        self.successResultOf(closing)
        self.assertEqual(len(recorder.lost), 1)
        for dialed in (waiting, connecting, self.dial()):
            self.failureResultOf(dialed, TunnelClosed)
