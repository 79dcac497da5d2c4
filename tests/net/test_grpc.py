"""Tests of konnect.net.grpc: streams and their back-pressure."""

from __future__ import annotations

from konnect.net.grpc_stream import GrpcStream
from konnect.wire.grpc import Limits
from konnect.wire.status import Status
from tests.net.streams import GrpcTestCase


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
        _, mine, peer, theirs = self.open()
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

    def test_closing(self) -> None:
        """A connection that is being closed has no room, and its streams know."""
        stream, *_ = self.open()
        self.assertFalse(stream.closing)
        self.client.close("enough")
        self.assertTrue(stream.closing)
        self.assertFalse(stream.send(b"x"))
        self.assertFalse(stream.send_run([(b"", b"x"), (b"", b"y")]))

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
