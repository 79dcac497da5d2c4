"""Tests of konnect.net.grpc: two connections joined in memory, streams and their listeners."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.grpc import CLOSE_TIMEOUT, GrpcProtocol
from konnect.net.grpc_stream import GrpcStream, Metadata, StreamListener
from konnect.net.keepalive import ANSWER_TIMEOUT
from konnect.wire.grpc import Limits, Role, StreamRefused
from konnect.wire.status import Status
from tests.fakes import FakeSocket
from tests.net.wires import Wire

KEEPALIVE = 100.0


class Listener:
    """Notes what a stream is told; acknowledges what it gets unless told otherwise."""

    def __init__(self, *, acknowledge: bool = True) -> None:
        self.told: list[Any] = []
        self.stream: GrpcStream | None = None
        self.acknowledge = acknowledge

    def take(self) -> list[Any]:
        """What it was told since the last look."""
        told, self.told = self.told, []
        return told

    def headers(self, metadata: Metadata) -> None:
        self.told.append(("headers", dict(metadata)))

    def message(self, payload: bytes, cost: int) -> None:
        self.told.append(payload)
        if self.acknowledge and self.stream is not None:
            self.stream.acknowledge(cost)

    def half_closed(self) -> None:
        self.told.append("half-closed")

    def ended(self, status: Status, text: str, reset: bool) -> None:
        self.told.append(("ended", status.name, text))

    def writable(self) -> None:
        self.told.append("writable")


class GrpcTestCase(SynchronousTestCase):
    """A client and a server; the server's listeners are kept in the order of their streams."""

    limits = Limits()

    def setUp(self) -> None:
        self.clock = Clock()
        self.lost: list[str] = []
        self.accepted: list[Listener] = []
        self.opened: list[tuple[str, dict[str, str]]] = []
        self.server = GrpcProtocol(
            Role.SERVER,
            self.clock,
            limits=self.limits,
            accept=self.accept,
            keepalive_time=0,
            on_lost=lambda protocol, why: self.lost.append(f"server: {why}"),
        )
        self.client = GrpcProtocol(
            Role.CLIENT,
            self.clock,
            limits=self.limits,
            keepalive_time=KEEPALIVE,
            on_lost=lambda protocol, why: self.lost.append(f"client: {why}"),
        )
        self.wire = Wire(self.client, self.server)
        self.wire.run()

    def accept(self, stream: GrpcStream, path: str, metadata: Metadata) -> StreamListener | None:
        """The server takes every stream."""
        self.opened.append((path, dict(metadata)))
        listener = Listener()
        listener.stream = stream
        self.accepted.append(listener)
        return listener

    def open(self) -> tuple[GrpcStream, Listener, GrpcStream, Listener]:
        """A stream: the client's side and its listener, the server's side and its listener."""
        listener = Listener()
        stream = self.client.open("/S/M", [("k", "v")], listener, authority="a")
        listener.stream = stream
        self.wire.run()
        theirs = self.accepted[-1]
        assert theirs.stream is not None
        return stream, listener, theirs.stream, theirs

    def tearDown(self) -> None:
        for socket in (self.wire.client, self.wire.server):
            if not socket.gone:
                socket.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.client.live_streams, self.server.live_streams), (0, 0))


class StreamTests(GrpcTestCase):
    """One stream's life."""

    def test_open(self) -> None:
        """A stream's path and metadata reach the server."""
        self.open()
        path, metadata = self.opened[0]
        self.assertEqual((path, metadata["k"]), ("/S/M", "v"))
        self.assertEqual((self.client.live_streams, self.server.live_streams), (1, 1))

    def test_messages(self) -> None:
        """Headers and messages go both ways, whole and in order."""
        stream, mine, peer, theirs = self.open()
        peer.send_headers([("serverid", "s")])
        for i in range(3):
            stream.send(b"up%d" % i)
            peer.send(b"down%d" % i)
        self.wire.run()
        self.assertEqual(theirs.take(), [b"up0", b"up1", b"up2"])
        (_, headers), *messages = mine.take()
        self.assertEqual(headers["serverid"], "s")
        self.assertEqual(messages, [b"down0", b"down1", b"down2"])

    def test_server_ends(self) -> None:
        """The server's status and text end the stream, once, behind its messages."""
        stream, mine, peer, theirs = self.open()
        peer.send(b"last")
        peer.end(Status.NOT_FOUND, "no")
        peer.end(Status.OK)
        self.wire.run()
        self.assertEqual(mine.take()[1:], [b"last", ("ended", "NOT_FOUND", "no")])
        self.assertEqual(theirs.take(), [])
        self.assertEqual((self.client.live_streams, self.server.live_streams), (0, 0))

    def test_client_half_closes(self) -> None:
        """A half-close lets the answers come."""
        stream, mine, peer, theirs = self.open()
        stream.send(b"all")
        stream.half_close()
        self.wire.run()
        self.assertEqual(theirs.take(), [b"all", "half-closed"])
        peer.send(b"answer")
        peer.end()
        self.wire.run()
        self.assertEqual(mine.take()[1:], [b"answer", ("ended", "OK", "")])

    def test_client_resets(self) -> None:
        """A reset tells the other side only."""
        stream, mine, _, theirs = self.open()
        stream.reset()
        stream.reset()
        self.wire.run()
        self.assertEqual(mine.take(), [])
        ((_, status, _),) = theirs.take()
        self.assertEqual(status, "CANCELLED")

    def test_harmless_after_the_end(self) -> None:
        """Every call on a stream that is over does nothing."""
        stream, mine, peer, theirs = self.open()
        peer.end()
        self.wire.run()
        mine.take()
        for side in (stream, peer):
            self.assertFalse(side.send(b"late"))
            side.acknowledge(10)
            side.end()
            side.reset()
            self.assertEqual(side.queued, 0)
        self.wire.run()
        self.assertEqual(mine.take() + theirs.take(), [])

    def test_messages_for_nobody(self) -> None:
        """Messages of a stream that was let go are dropped and their window given back."""
        stream, _, peer, _ = self.open()
        peer.listener = None
        for _ in range(40):
            stream.send(b"x" * 100_000)
        self.assertGreater(stream.queued, 0)
        self.wire.run()
        self.assertEqual(stream.queued, 0)

    def test_peer(self) -> None:
        """A stream names the peer and its transport."""
        stream, _, peer, _ = self.open()
        self.assertEqual(stream.peer, "192.0.2.8:5678")
        self.assertIs(peer.transport, self.wire.server)


class BackPressureTests(GrpcTestCase):
    """A side that takes no more."""

    limits = Limits(stream_window=65536)

    def fill(self, stream: GrpcStream) -> int:
        """Send until the stream says stop; returns how many bytes that took."""
        sent = 0
        while stream.send(b"x" * 8192):
            sent += 8192
            assert sent < 1 << 22, "without bound"
        return sent

    def test_window(self) -> None:
        """A window that is not given back stops the sender; giving it back wakes it once."""
        stream, mine, peer, theirs = self.open()
        theirs.acknowledge = False
        self.fill(stream)
        self.wire.run()
        self.assertEqual(mine.take(), [])
        received = len(theirs.take())
        peer.acknowledge(received * (8192 + 5))
        self.wire.run()
        self.assertIn("writable", mine.take())
        self.assertTrue(stream.send(b"x"))

    def test_transport(self) -> None:
        """A transport that is full holds everything in the streams' queues, until it drains."""
        stream, mine, _, theirs = self.open()
        theirs.acknowledge = True
        self.client.pauseProducing()
        self.fill(stream)
        self.assertEqual(self.wire.client.take(), [])
        queued = stream.queued
        self.assertGreater(queued, 65536)
        self.client.resumeProducing()
        self.wire.run()
        self.assertEqual(mine.take(), ["writable"])
        self.assertEqual(sum(len(m) + 5 for m in theirs.take()), queued)

    def test_one_slow_stream(self) -> None:
        """A stream whose window is shut holds up no other."""
        slow, _, _, slow_listener = self.open()
        slow_listener.acknowledge = False
        quick, _, _, quick_listener = self.open()
        self.fill(slow)
        quick.send(b"here")
        self.wire.run()
        self.assertEqual(quick_listener.take(), [b"here"])

    def test_stopped(self) -> None:
        """A producer whose transport is gone writes no more."""
        stream, *_ = self.open()
        self.client.stopProducing()
        stream.send(b"x")
        self.assertEqual(self.wire.client.take(), [])


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
        self.assertRaises(
            StreamRefused, self.client.open, "/S/M", [], Listener(), authority="a"
        )
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
            Role.CLIENT, self.clock, on_lost=lambda protocol, why: self.lost.append(why)
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

    def test_handshake_fails(self) -> None:
        """A connection that ends before it is ready fails whoever waits, and is worth a line."""
        self.socket.lose(ConnectionLost())
        self.ready[0].trap(ConnectionError)
        self.assertTrue(self.protocol.unusual_end)

    def test_closed_before_a_word(self) -> None:
        """A peer that connects and leaves (a port check) is worth no line."""
        self.socket.lose()
        self.assertFalse(self.protocol.unusual_end)
