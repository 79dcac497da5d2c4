"""Tests of konnect.net.grpc: the life of a connection, and what TLS adds to it."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.floods import FLOODED
from konnect.net.grpc import CLOSE_TIMEOUT, GrpcProtocol
from konnect.net.grpc_terms import own_terms
from konnect.net.keepalive import ANSWER_TIMEOUT
from konnect.wire.grpc import Role, StreamRefused
from tests.fakes import FakeSocket
from tests.net.streams import KEEPALIVE, GrpcTestCase, Listener


class ConnectionTests(GrpcTestCase):
    """The connection's end, and what it tells."""

    def test_close(self) -> None:
        """A close flushes, and both sides' streams and owners learn why."""
        stream, mine, _, theirs = self.open()
        stream.send(b"last")
        self.client.close("the test is over")
        self.client.close("again")
        self.wire.run()
        self.assertEqual(theirs.take()[0], b"last")
        self.assertEqual(mine.take(), [("ended", "UNAVAILABLE", "the test is over")])
        self.assertEqual(self.lost[-1], "client: the test is over")
        self.assertEqual(len(self.lost), 2)
        self.assertTrue(self.client.unusual_end)
        self.assertFalse(self.server.unusual_end)

    def test_close_of_a_full_connection(self) -> None:
        """What waits for a full transport is handed over by a close."""
        stream, _, _, theirs = self.open()
        self.client.pauseProducing()
        stream.send(b"last")
        self.client.close("bye")
        self.wire.run()
        self.assertEqual(theirs.take()[0], b"last")

    def test_close_is_bounded(self) -> None:
        """A peer that lets a closing connection wait is dropped."""
        self.client.close("bye")
        self.clock.advance(CLOSE_TIMEOUT - 0.1)
        self.assertFalse(self.wire.client.gone)
        self.clock.advance(0.2)
        self.assertTrue(self.wire.client.gone)

    def test_abort(self) -> None:
        """An abort drops everything at once."""
        _, mine, _, _ = self.open()
        self.client.close("enough", abort=True)
        self.assertTrue(self.wire.client.gone)
        self.assertEqual(mine.take(), [("ended", "UNAVAILABLE", "enough")])
        self.server.abort()
        self.assertTrue(self.wire.server.gone)

    def test_lost(self) -> None:
        """A broken connection ends every stream once, with what is known of the reason."""
        first, mine, *_ = self.open()
        second = Listener()
        self.client.open("/S/M", [], second, authority="a")
        self.wire.client.lose(ConnectionLost())
        for listener in (mine, second):
            ((_, status, text),) = listener.take()
            self.assertEqual(status, "UNAVAILABLE")
            self.assertEqual(f"client: {text}", self.lost[0])
        self.assertFalse(first.send(b"late"))
        self.client.close("late")
        self.client.abort()

    def test_ended_by_another(self) -> None:
        """A stream that is ended when another is told of the connection's end hears nothing."""
        _, mine, *_ = self.open()
        second = Listener()
        other = self.client.open("/S/M", [], second, authority="a")
        self.patch(mine, "ended", lambda *_: other.reset())
        self.wire.client.lose(ConnectionLost())
        self.assertEqual(second.take(), [])
        self.assertEqual(self.client.live_streams, 0)

    def test_lost_client(self) -> None:
        """To a server a client that is gone has cancelled its streams, as grpc's servers count."""
        _, _, _, theirs = self.open()
        self.wire.server.lose(ConnectionDone())
        ((what, status, text),) = theirs.take()
        self.assertEqual((what, status), ("ended", "CANCELLED"))
        self.assertEqual(f"server: {text}", self.lost[0])

    def test_ended_locally(self) -> None:
        """A stream that its owner has ended hears nothing of the connection's end."""
        _, _, peer, theirs = self.open()
        self.wire.held.add(self.wire.client)
        peer.end()
        self.wire.server.lose(ConnectionLost())
        self.assertEqual(theirs.take(), [])

    def test_goaway(self) -> None:
        """GOAWAY lets live streams go on and refuses new ones."""
        stream, mine, peer, theirs = self.open()
        self.server.goaway()
        self.wire.run()
        self.assertTrue(self.client.going_away)
        self.assertRaises(StreamRefused, self.client.open, "/S/M", [], Listener(), authority="a")
        stream.send(b"on")
        peer.send(b"on")
        self.wire.run()
        self.assertEqual(theirs.take(), [b"on"])
        self.assertEqual(mine.take()[1:], [b"on"])

    def test_protocol_error(self) -> None:
        """A peer that breaks HTTP/2 is told and dropped; streams and owner learn the reason."""
        _, _, _, theirs = self.open()
        self.wire.server.protocol.dataReceived(b"\x00\x00\x04\x00\x00\x00\x00\x00\x00oops")
        ((_, status, _),) = theirs.take()
        self.assertEqual(status, "UNAVAILABLE")
        self.assertTrue(self.wire.server.ended)
        self.server.dataReceived(b"more")
        self.wire.run()
        self.assertTrue(self.server.unusual_end)
        self.assertEqual(len(self.lost), 2)

    def test_flood(self) -> None:
        """A peer that makes work without payload is dropped, with the reason."""
        _, _, _, theirs = self.open()
        ping = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + b"12345678"
        for _ in range(10):
            if not self.wire.server.gone:
                self.server.dataReceived(ping * 1000)
        self.assertTrue(self.wire.server.gone)
        ((what, status, why),) = theirs.take()
        self.assertEqual((what, status), ("ended", "CANCELLED"))
        self.assertEqual(why, f"{FLOODED}, most of them pings")

    def test_keepalive(self) -> None:
        """An idle connection is pinged; one that does not answer is dropped."""
        _, mine, _, _ = self.open()
        for _ in range(4):
            self.clock.advance(KEEPALIVE / 4)
        self.wire.run()
        self.clock.advance(ANSWER_TIMEOUT)
        self.assertFalse(self.wire.client.gone, "the ping was answered")
        self.wire.held.add(self.wire.server)
        for _ in range(5):
            self.clock.advance(KEEPALIVE / 4)
        self.clock.advance(ANSWER_TIMEOUT)
        self.assertTrue(self.wire.client.gone)
        self.assertEqual(
            mine.take(),
            [("ended", "UNAVAILABLE", "the peer did not answer the keepalive ping")],
        )

    def test_ready(self) -> None:
        """A client may open streams as soon as its transport is there."""
        self.assertIsNone(self.successResultOf(self.client.ready))


class TlsTests(SynchronousTestCase):
    """What TLS adds: a handshake, and the choice of a protocol."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lost: list[str] = []
        self.protocol = GrpcProtocol(
            own_terms(Role.CLIENT, self.clock, on_lost=lambda protocol, why: self.lost.append(why))
        )
        self.ready: list[Any] = []
        self.protocol.ready.addBoth(self.ready.append)
        self.socket = FakeSocket(tls=True)
        self.socket.connect(self.protocol)

    def tearDown(self) -> None:
        if not self.socket.gone:
            self.socket.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silent_until_the_handshake(self) -> None:
        """Nothing is said before the handshake; with h2 agreed on, the connection begins."""
        self.assertEqual(self.socket.take(), [])
        self.protocol.dataReceived(b"early")
        self.socket.negotiatedProtocol = b"h2"  # type: ignore[attr-defined]
        self.protocol.handshakeCompleted()
        self.assertTrue(self.socket.written.startswith(b"PRI * HTTP/2.0"))
        self.assertEqual(self.ready, [None])

    def test_ending_below(self) -> None:
        """A transport that ends by itself must lose its producer, or it would stay for ever."""
        self.socket.negotiatedProtocol = b"h2"  # type: ignore[attr-defined]
        self.protocol.handshakeCompleted()
        self.socket.transport.disconnecting = True
        self.protocol.pauseProducing()
        self.protocol.resumeProducing()
        self.assertIsNone(self.socket.producer)

    def test_no_h2(self) -> None:
        """A peer that did not agree on h2 is dropped, and that is the reason."""
        self.socket.negotiatedProtocol = None  # type: ignore[attr-defined]
        self.protocol.handshakeCompleted()
        self.assertEqual(self.socket.take(), ["abort"])
        why = "the peer did not agree on HTTP/2 by ALPN (h2)"
        self.assertEqual(self.lost, [why])
        self.assertIsInstance(self.ready[0], Failure)
        self.assertEqual(str(self.ready[0].value), why)
        self.assertTrue(self.protocol.unusual_end)

    def test_another_protocol_of_the_offer(self) -> None:
        """A client whose offer named more than h2 goes on with what the server chose of it."""
        self.socket.negotiatedProtocol = b"balancer"  # type: ignore[attr-defined]
        self.protocol.handshakeCompleted()
        self.assertEqual(self.ready, [None])

    def test_handshake_fails(self) -> None:
        """A connection that ends before it is ready fails whoever waits, and is worth a line."""
        self.socket.lose(ConnectionLost())
        self.ready[0].trap(ConnectionError)
        self.assertTrue(self.protocol.unusual_end)

    def test_closed_before_a_word(self) -> None:
        """A peer that connects and leaves (a port check) is worth no line."""
        self.socket.lose()
        self.assertFalse(self.protocol.unusual_end)
