"""Tests of konnect.agent.session: from a connection to the proxy's introduction, and its end."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost, ConnectionRefusedError, NoRouteError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from konnect.agent.session import HELLO_TIMEOUT, HungUp, NoAnswer, Refused, Session, connect
from konnect.net.diagnosis import TlsRefused
from konnect.net.grpc import GrpcProtocol
from konnect.tunnel.flow import FEATURES, Flow
from konnect.tunnel.ledger import Ledger
from konnect.wire import packets
from konnect.wire.metadata import HelloError
from tests.agent.rig import FakeDialer, FakeProxy
from tests.fakes import FakeSocket, readable


class _Sessions(SynchronousTestCase):
    """An agent's attempts at one proxy."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(self.clock.seconds, agent=True)
        self.dialer = FakeDialer()
        self.proxy = FakeProxy("s-1", count=3)
        self.connections: set[GrpcProtocol] = set()
        self.ended: list[tuple[str, str]] = []

    def tearDown(self) -> None:
        for wire in self.proxy.wires:
            for socket in (wire.client, wire.server):
                if not socket.gone:
                    socket.lose()
        self.assertEqual(self.connections, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def connect(self) -> Deferred[GrpcProtocol]:
        """Connect to the proxy."""
        attempt = connect(self.proxy, self.clock, 0.0, self.connections)
        return Deferred.fromCoroutine(attempt)

    def session(self) -> Session:
        """Connect and begin a session."""
        protocol = self.successResultOf(self.connect())
        session = Session(
            protocol,
            self.ledger,
            self.dialer,
            self.clock,
            flow=Flow(),
            on_end=lambda session, text: self.ended.append((session.server_id, text)),
        )
        session.start([("agentid", "a"), *FEATURES.metadata()], "authority")
        self.proxy.run()
        return session


class ConnectTests(_Sessions):
    """From an endpoint to a connection that takes streams."""

    def test_ready(self) -> None:
        """A connection is known from when it is made until it is gone."""
        protocol = self.successResultOf(self.connect())
        self.assertEqual(self.connections, {protocol})
        protocol.abort()
        self.assertEqual(self.connections, set())

    def test_refused(self) -> None:
        """Where nobody listens the attempt fails as the endpoint says."""
        self.proxy.mode = "refuses"
        self.failureResultOf(self.connect(), ConnectionRefusedError)

    def test_no_connection(self) -> None:
        """A connection that does not come about is given up after a bound."""
        self.proxy.mode = "hangs"
        attempt = self.connect()
        self.clock.advance(HELLO_TIMEOUT - 0.1)
        self.assertNoResult(attempt)
        self.clock.advance(0.2)
        self.failureResultOf(attempt, NoAnswer)
        self.assertEqual(self.proxy.cancelled, 1)

    def test_gone_at_once(self) -> None:
        """A connection that ends in the moment it is made fails, and is kept in no table."""
        self.proxy.mode = "vanishes"
        error = self.failureResultOf(self.connect(), HungUp).value
        self.assertIn("connection lost", str(error))
        self.assertEqual(self.connections, set())

    def test_reset_at_once(self) -> None:
        """So does one that is reset before the kernel has told of it, as balancers do."""
        self.proxy.mode = "resets"
        self.failureResultOf(self.connect(), HungUp)
        self.proxy.mode = "unreachable"
        self.failureResultOf(self.connect(), NoRouteError)

    def test_cancelled(self) -> None:
        """A cancelled attempt is cancelled at the endpoint."""
        self.proxy.mode = "hangs"
        attempt = self.connect()
        attempt.cancel()
        self.failureResultOf(attempt, CancelledError)
        self.assertEqual(self.proxy.cancelled, 1)


class HandshakeTests(_Sessions):
    """A TLS connection that does not become ready."""

    def attempt(self, over: Exception | None = None) -> tuple[Deferred[GrpcProtocol], FakeSocket]:
        """
        A connection whose handshake has not happened, and its socket.

        :param over: why it is lost again before anybody is told of it.
        """
        socket = FakeSocket(tls=True)

        class Endpoint:
            """Connects at once."""

            def connect(self, factory: object) -> Deferred[GrpcProtocol]:
                protocol = cast(GrpcProtocol, factory.buildProtocol(None))  # type: ignore[attr-defined]
                socket.connect(protocol)
                if over is not None:
                    socket.lose(over)
                done: Deferred[GrpcProtocol] = Deferred()
                done.callback(protocol)
                return done

        coroutine = connect(Endpoint(), self.clock, 0.0, self.connections)  # type: ignore[arg-type]
        return Deferred.fromCoroutine(coroutine), socket

    def test_timeout(self) -> None:
        """A handshake that does not end is given up after a bound."""
        attempt, socket = self.attempt()
        self.clock.advance(HELLO_TIMEOUT + 0.1)
        self.failureResultOf(attempt, NoAnswer)
        self.assertEqual(socket.take(), ["abort"])

    def test_fails(self) -> None:
        """A handshake that fails says why."""
        attempt, socket = self.attempt()
        socket.lose(ConnectionLost())
        self.failureResultOf(attempt, ConnectionError)

    def test_fails_at_once(self) -> None:
        """So does one that has failed before the attempt goes on: the peer did not just hang up."""
        attempt, _ = self.attempt(TlsRefused("the peer spoke no TLS"))
        error = self.failureResultOf(attempt, ConnectionError).value
        self.assertNotIsInstance(error, HungUp)
        self.assertIn("the peer spoke no TLS", str(error))

    def test_no_h2(self) -> None:
        """So does a proxy that does not agree on h2."""
        attempt, socket = self.attempt()
        socket.protocol.handshakeCompleted()
        error = self.failureResultOf(attempt, ConnectionError).value
        self.assertIn("ALPN", str(error))

    def test_cancelled(self) -> None:
        """An attempt that is cancelled during the handshake drops the connection."""
        attempt, socket = self.attempt()
        attempt.cancel()
        self.failureResultOf(attempt, CancelledError)
        self.assertEqual(socket.take(), ["abort"])


class HelloTests(_Sessions):
    """The proxy's introduction."""

    def test_hello(self) -> None:
        """The proxy's id and count are told, and its features are in force."""
        session = self.session()
        hello = self.successResultOf(session.hello)
        self.assertEqual((hello.server_id, hello.server_count), ("s-1", 3))
        self.assertEqual(session.server_id, "s-1")
        self.assertEqual(dict(self.proxy.metadata)["agentid"], "a")
        self.assertFalse(session.link.half_close, "a stock proxy announces nothing")

    def test_rejected(self) -> None:
        """A proxy that does not admit the agent says why (upstream's agent never shows it)."""
        self.proxy.mode = "rejects"
        session = self.session()
        error = self.failureResultOf(session.hello, Refused).value
        self.assertEqual(str(error), "UNKNOWN: too many (2) tokens are received")
        self.assertEqual(self.ended, [])
        self.proxy.run()
        self.assertEqual(self.connections, set())

    def test_strange(self) -> None:
        """Headers that are not a proxy's fail the introduction in upstream's words."""
        self.proxy.mode = "strange"
        session = self.session()
        error = self.failureResultOf(session.hello, HelloError).value
        self.assertEqual(str(error), "expected one server count, got 0")
        session.protocol.abort()
        self.assertEqual(self.ended, [], "a session without an introduction has no end to tell")

    def test_lost_before(self) -> None:
        """A connection that breaks before the introduction fails it."""
        self.proxy.mode = "mute"
        session = self.session()
        self.assertNoResult(session.hello)
        self.proxy.wires[0].client.lose(ConnectionLost())
        self.failureResultOf(session.hello, Refused)
        self.assertEqual(self.ended, [])

    def test_unknown_features(self) -> None:
        """What a newer proxy announces besides is no reason to refuse it."""
        session = self.session()
        session._said_hello = False
        session.hello = Deferred()
        session.headers(
            [
                ("serverid", "s"),
                ("servercount", "1"),
                ("konnect-features", "credit=20000,half-close,telepathy"),
            ]
        )
        self.successResultOf(session.hello)
        self.assertTrue(session.link.half_close)
        self.assertEqual(session.link.send_credit, 20000)

    def test_headers_again(self) -> None:
        """A proxy introduces itself once."""
        session = self.session()
        session.headers([("serverid", "other"), ("servercount", "9")])
        self.assertEqual(session.server_id, "s-1")


class LifeTests(_Sessions):
    """A session that has begun."""

    def test_packets(self) -> None:
        """The link's packets go both ways."""
        session = self.session()
        link = self.proxy.links[0]
        link.stream.send(packets.dial_req("tcp", "host:80", 7))
        self.proxy.run()
        self.dialer.dials[0].fails("no route to host")
        self.proxy.run()
        self.assertEqual([readable(p) for p in link.got], [("DIAL_RSP", 7, 0, "no route to host")])
        session.half_closed()
        session.writable()

    def test_ended_by_the_proxy(self) -> None:
        """A proxy that ends the stream ends the session, once, and the connection goes."""
        session = self.session()
        self.proxy.links[0].stream.end()
        self.proxy.run()
        self.assertEqual(self.ended, [("s-1", "OK")])
        self.assertTrue(session.link.lost)
        self.assertEqual(self.proxy.live, 0)

    def test_lost(self) -> None:
        """A lost connection ends the session with what is known of the reason."""
        self.session()
        self.proxy.wires[0].client.lose(ConnectionLost())
        ((server_id, text),) = self.ended
        self.assertEqual(server_id, "s-1")
        self.assertTrue(text.startswith("UNAVAILABLE: "), text)
        self.assertNotEqual(text, "UNAVAILABLE: the connection was lost")

    def test_dials_are_cancelled(self) -> None:
        """A session's end cancels the dials on its link."""
        self.session()
        self.proxy.links[0].stream.send(packets.dial_req("tcp", "host:80", 7))
        self.proxy.run()
        self.proxy.wires[0].client.lose(ConnectionLost())
        self.assertTrue(self.dialer.dials[0].cancelled)
        self.assertEqual(self.ledger.pending_dials, 0)
        self.assertIsInstance(Failure(Refused("x")).value, Exception)
