"""Tests of konnect.net.grpc: DATA past the queues, and cut-through on receipt."""

from __future__ import annotations

from konnect.tunnel.ends import Bytes
from konnect.wire import data_packet, packets
from konnect.wire.grpc import Limits
from tests.net.streams import GrpcTestCase, Listener

HEAD = data_packet.head(data_packet.middle(7), 5)


class Sink:
    """Notes what an inlet gives among what the stream's listener is told."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener

    def data(self, connect_id: int, piece: Bytes, cost: int) -> int:
        self.listener.told.append((connect_id, bytes(piece)))
        return cost

    def joined(self, packets: int) -> None:
        """Of no matter here."""

    def packet(self, payload: bytes, cost: int) -> int:
        self.listener.told.append(payload)
        return cost


class DirectTests(GrpcTestCase):
    limits = Limits(stream_window=65536)

    def test_order(self) -> None:
        """Whatever way messages go, they arrive in the order in which they were sent."""
        stream, _, _, theirs = self.open()
        sent = []
        for number in range(40):
            size = 16000 if number % 3 else 5
            payload = bytes([number]) * size
            packet = data_packet.build(7, payload)
            if number % 4:
                stream.send_data(packet[:-size], memoryview(payload))
            else:
                stream.send(packet)
            sent.append(packet)
        for _ in range(8):
            self.wire.run()
        self.assertEqual(theirs.take(), sent)

    def test_one_write_each(self) -> None:
        """On a stream that is open, a packet is handed over whole and at once."""
        stream, *_ = self.open()
        stream.send(b"first")
        self.wire.run()
        self.assertTrue(stream.send_data(HEAD, b"hello"))
        ((_, written),) = self.wire.client.take()
        self.assertTrue(written.endswith(HEAD + b"hello"))
        self.assertEqual(len(written), 9 + 5 + len(HEAD) + 5)

    def test_too_large_for_a_frame(self) -> None:
        """What does not fit one frame of the peer's is cut by the queue."""
        stream, _, _, theirs = self.open()
        stream.send(b"first")
        self.wire.run()
        theirs.take()
        head = data_packet.head(data_packet.middle(7), 20000)
        self.assertLess(stream.largest_message, 20000)
        stream.send_data(head, b"x" * 20000)
        self.wire.run()
        self.assertEqual(theirs.take(), [head + b"x" * 20000])

    def test_a_run(self) -> None:
        """Several messages are one write, up to the first that the window has no room for; those
        behind it follow through the queue."""
        stream, _, _, theirs = self.open()
        stream.send(b"first")
        self.wire.run()
        theirs.take()
        payload = bytes(range(250)) * 480
        run = data_packet.cut(data_packet.middle(7), payload, stream.largest_message - 64)
        self.patch(self.client, "_takes_views", True)
        writes: list[list[Bytes]] = []
        socket = self.wire.client

        def write_all(pieces: list[Bytes]) -> None:
            writes.append(pieces)
            socket.write(b"".join(pieces))

        socket.writeSequence = write_all  # type: ignore[attr-defined]
        stream.send_run(run)
        (pieces,) = writes
        at_once = len(pieces) // 2
        self.assertGreater(at_once, 1)
        self.assertLess(at_once, len(run))
        self.assertGreater(stream.queued, 0)
        for _ in range(8):
            self.wire.run()
        self.assertTrue(theirs.take() == [head + bytes(piece) for head, piece in run])

    def test_a_run_that_fills_the_transport(self) -> None:
        """It is told of room as after one message."""
        stream, mine, *_ = self.open()
        stream.send(b"first")
        self.wire.run()
        self.patch(self.client, "_takes_views", True)

        def full(data: list[Bytes]) -> None:
            self.wire.client.write(b"".join(data))
            self.client.pauseProducing()

        self.wire.client.writeSequence = full  # type: ignore[attr-defined]
        self.assertFalse(stream.send_run([(HEAD, b"hello"), (HEAD, b"world")]))
        self.assertEqual((stream.queued, mine.take()), (0, []))
        self.client.resumeProducing()
        self.assertEqual(mine.take(), ["writable"])

    def test_told_of_room(self) -> None:
        """A stream that was told to stop by a full transport, with nothing queued, hears when the
        transport has room again."""
        stream, mine, _, theirs = self.open()
        stream.send(b"first")
        self.wire.run()
        theirs.take()
        socket = self.wire.client
        write = socket.write

        def full(data: Bytes) -> None:
            write(bytes(data))
            self.client.pauseProducing()

        self.patch(socket, "write", full)
        self.assertFalse(stream.send_data(HEAD, b"hello"))
        self.assertEqual(stream.queued, 0)
        self.assertEqual(mine.take(), [])
        self.client.resumeProducing()
        self.assertEqual(mine.take(), ["writable"])
        self.client.resumeProducing()
        self.assertEqual(mine.take(), [])


class CutThroughTests(GrpcTestCase):
    def test_order_of_events(self) -> None:
        """What came before, in the same read, is told before; so is what comes behind."""
        stream, mine, peer, _ = self.open()
        stream.cut_through(Sink(mine))
        peer.send_headers([("a", "b")])
        peer.send(data_packet.build(7, b"hello"))
        peer.send(packets.close_rsp(7))
        peer.end()
        self.wire.run()
        told = mine.take()
        self.assertEqual(told[0][0], "headers")
        self.assertEqual(told[1:3], [(7, b"hello"), packets.close_rsp(7)])
        self.assertEqual(told[3], ("ended", "OK", ""))

    def test_from_within_a_message(self) -> None:
        """A message that has begun before is told whole, those behind it are cut through."""
        stream, _, peer, theirs = self.open()
        stream.send(data_packet.build(7, b"x" * 100))
        ((_, written),) = self.wire.client.take()
        self.server.dataReceived(written[:50])
        peer.cut_through(Sink(theirs))
        self.server.dataReceived(written[50:])
        self.assertEqual(theirs.take(), [data_packet.build(7, b"x" * 100)])
        stream.send(data_packet.build(7, b"y"))
        self.wire.run()
        self.assertEqual(theirs.take(), [(7, b"y")])

    def test_refused(self) -> None:
        """A message that cannot be accepted ends the stream, as on any other."""
        stream, mine, peer, theirs = self.open()
        peer.cut_through(Sink(theirs))
        wire = self.client._wire
        stream.send(b"first")
        self.wire.run()
        before = wire.streams.direct(stream._stream, b"", 3)
        assert before is not None
        self.server.dataReceived(before[:9] + b"\x01" + before[10:] + b"abc")
        self.wire.run()
        self.assertEqual(theirs.take()[0], b"first")
        self.assertEqual(mine.take()[0][:2], ("ended", "INTERNAL"))
