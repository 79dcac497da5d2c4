"""Tests of konnect.client.tunnel_transport, before a scripted proxy."""

from __future__ import annotations

import random

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from zope.interface import implementer
from zope.interface.verify import verifyObject

from konnect.client.shared import SharedConnection
from konnect.wire import packets
from konnect.wire.packets import PacketType
from konnect.wire.status import Status
from tests.client.grpc_case import GrpcCase
from tests.client.scripted import CONNECT_ID, CountingFactory, Recorder

MIB = 1024 * 1024


def data(payload: bytes) -> bytes:
    """A DATA packet of the tunnel."""
    return packets.data(CONNECT_ID, payload)


@implementer(IPushProducer)
class RaisingProducer:
    """Raises when it is to produce."""

    stopped = False

    def pauseProducing(self) -> None:
        pass

    def resumeProducing(self) -> None:
        raise ZeroDivisionError("on purpose")

    def stopProducing(self) -> None:
        self.stopped = True


class WritingTests(GrpcCase):
    """What the protocol writes."""

    def test_provides_the_interfaces(self) -> None:
        """The transport is an ITransport, an IConsumer and an IPushProducer."""
        transport = self.open().tunnel
        for interface in (ITransport, IConsumer, IPushProducer):
            verifyObject(interface, transport)
        self.finish()

    def test_arrives_whole_in_packets_of_64_kib(self) -> None:
        """Any mixture of writes arrives in order, in DATA packets of 1 to 65536 bytes."""
        transport = self.open().tunnel
        rng = random.Random(7)
        sent = b""
        for size in (1, 5, 65536, 65537, 3 * MIB, 17):
            piece = rng.randbytes(size)
            transport.write(piece)
            sent += piece
        transport.writeSequence([b"a", b"", b"b"])
        self.endpoint.flush()
        self.assertEqual(self.proxy.received(), sent + b"ab")
        sizes = [len(packet.data.data) for packet in self.proxy.of_type(PacketType.DATA)]
        self.assertTrue(all(1 <= size <= 65536 for size in sizes), sizes)
        self.finish()

    def test_nothing_is_no_packet(self) -> None:
        """Writing no bytes sends nothing."""
        transport = self.open().tunnel
        transport.write(b"")
        transport.writeSequence([])
        self.endpoint.flush()
        self.assertEqual(self.proxy.of_type(PacketType.DATA), [])
        self.finish()

    def test_takes_bytes_only(self) -> None:
        """Text is refused with a TypeError, as by Twisted's transports."""
        transport = self.open().tunnel
        self.assertRaises(TypeError, transport.write, "text")
        self.finish()

    def test_no_half_close(self) -> None:
        """There is no way to close one direction, and none is claimed."""
        self.assertFalse(hasattr(self.open().tunnel, "loseWriteConnection"))
        self.finish()


class ReadingTests(GrpcCase):
    """What the protocol is given."""

    def test_paused_protocol_gets_nothing_until_resumed(self) -> None:
        """While paused nothing is delivered; afterwards everything, in order, in a later turn."""
        recorder = self.open()
        recorder.tunnel.pauseProducing()
        self.proxy.send(data(b"one"), data(b"two"))
        self.endpoint.flush()
        self.assertEqual(recorder.data, [])
        recorder.tunnel.resumeProducing()
        self.assertEqual(recorder.data, [])
        self.proxy.send(data(b"three"))
        self.endpoint.flush()
        self.assertEqual(recorder.data, [b"one", b"two", b"three"])
        self.finish()

    def test_pausing_between_two_held_packets(self) -> None:
        """A protocol that pauses again while it is caught up gets no more than it wants."""

        class OneAtATime(Recorder):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                self.tunnel.pauseProducing()

        self.factory = CountingFactory(OneAtATime)
        recorder = self.open(data(b"1"), data(b"2"), data(b"3"))
        seen = []
        for _ in range(3):
            seen.append(recorder.bytes)
            recorder.tunnel.resumeProducing()
            self.clock.advance(0)
        self.assertEqual(seen, [b"1", b"12", b"123"])
        self.finish()

    def test_paused_protocol_holds_the_window_shut(self) -> None:
        """A proxy can send a paused protocol about one stream window, and all of it after."""
        recorder = self.open()
        recorder.tunnel.pauseProducing()
        sent = random.Random(3).randbytes(4 * MIB)
        for start in range(0, len(sent), 65536):
            self.proxy.send(data(sent[start : start + 65536]))
        self.endpoint.flush()
        waiting = self.proxy.wire.queued(1)
        self.assertGreater(waiting, 2 * MIB)
        recorder.tunnel.resumeProducing()
        for _ in range(8):
            self.endpoint.flush()
            self.proxy.flush()
        self.assertEqual(recorder.bytes, sent)
        self.finish()

    def test_ignores_what_is_not_its_own(self) -> None:
        """DATA of other ids and of id 0, empty DATA and foreign CLOSE_RSP change nothing."""
        recorder = self.open(
            packets.data(CONNECT_ID + 1, b"another's"),
            packets.data(0, b"nobody's"),
            b"\x08\x04\x22\x02\x08\x07",  # DATA{7} without bytes
            packets.close_rsp(CONNECT_ID + 1, "mismatched connection IDs"),
            packets.close_req(CONNECT_ID),
            packets.drain(),
            data(b"mine"),
        )
        self.assertEqual((recorder.data, recorder.lost), ([b"mine"], []))
        self.finish()

    def test_malformed_packet_ends_the_tunnel(self) -> None:
        """A DATA packet without its payload ends the tunnel, with the reason, and its stream."""
        recorder = self.open(b"\x08\x04")
        (reason,) = recorder.lost
        self.assertIn("malformed packet", str(reason.value))
        self.assertTrue(self.proxy.lost)

    def test_a_protocol_that_raises_loses_only_its_own_tunnel(self) -> None:
        """The error is logged once, the stream reset, the protocol told why."""

        class Raising(Recorder):
            def dataReceived(self, data: bytes) -> None:
                raise ZeroDivisionError("on purpose")

        self.factory = CountingFactory(Raising)
        recorder = self.open(data(b"x"), data(b"y"))
        (reason,) = recorder.lost
        reason.trap(ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.factory.stopped, 1)


class ClosingTests(GrpcCase):
    """loseConnection: flush, CLOSE_REQ, CLOSE_RSP."""

    def test_asks_and_waits_for_the_answer(self) -> None:
        """CLOSE_REQ goes behind everything written; connectionLost comes with the CLOSE_RSP."""
        recorder = self.open()
        recorder.tunnel.write(b"last words")
        recorder.tunnel.loseConnection()
        recorder.tunnel.loseConnection()
        self.endpoint.flush()
        kinds = [packet.type for _, packet in self.proxy.packets[1:]]
        self.assertEqual(kinds, [PacketType.DATA, PacketType.CLOSE_REQ])
        self.assertEqual(self.proxy.packets[-1][1].closeRequest.connectID, CONNECT_ID)
        self.assertEqual(recorder.lost, [])
        self.proxy.send(packets.close_rsp(CONNECT_ID))
        self.endpoint.flush()
        (reason,) = recorder.lost
        reason.trap(ConnectionDone)
        self.assertTrue(self.proxy.lost)

    def test_answer_with_an_error(self) -> None:
        """A CLOSE_RSP with a text is a lost connection with that text."""
        recorder = self.open()
        recorder.tunnel.loseConnection()
        self.proxy.send(packets.close_rsp(CONNECT_ID, "CLOSE_REQ to backend failed"))
        self.endpoint.flush()
        (reason,) = recorder.lost
        reason.trap(ConnectionLost)
        self.assertIn("CLOSE_REQ to backend failed", str(reason.value))

    def test_no_answer(self) -> None:
        """Without a CLOSE_RSP the tunnel is given up after 10 seconds."""
        recorder = self.open()
        recorder.tunnel.loseConnection()
        self.endpoint.flush()
        self.clock.advance(9.9)
        self.assertEqual(recorder.lost, [])
        self.clock.advance(0.1)
        self.endpoint.flush()
        (reason,) = recorder.lost
        self.assertIn("close timeout", str(reason.value))
        self.assertEqual(len(self.proxy.ended), 1)
        self.assertTrue(self.proxy.lost)

    def test_a_slow_proxy_is_given_time(self) -> None:
        """While the proxy still takes what was written, the tunnel is not given up."""
        recorder = self.open()
        self.proxy.holding = True
        recorder.tunnel.write(bytes(1100 * 1024))
        recorder.tunnel.loseConnection()
        self.endpoint.flush()
        self.clock.advance(9)
        self.proxy.take()
        self.endpoint.flush()
        self.clock.advance(9)
        self.assertEqual(recorder.lost, [])
        self.assertEqual(len(self.proxy.received()), 1100 * 1024)
        self.assertEqual(len(self.proxy.of_type(PacketType.CLOSE_REQ)), 1)
        self.proxy.send(packets.close_rsp(CONNECT_ID))
        self.endpoint.flush()
        self.assertEqual(len(recorder.lost), 1)

    def test_nothing_is_delivered_after_it(self) -> None:
        """Bytes that come, or were held, after loseConnection are dropped and acknowledged."""
        recorder = self.open()
        recorder.tunnel.pauseProducing()
        self.proxy.send(data(b"held"))
        self.endpoint.flush()
        recorder.tunnel.loseConnection()
        recorder.tunnel.resumeProducing()
        sent = 0
        for _ in range(48):
            self.proxy.send(data(bytes(65536)))
            self.endpoint.flush()
            sent += 65536
        self.proxy.send(packets.close_rsp(CONNECT_ID))
        self.endpoint.flush()
        self.assertEqual((recorder.data, len(recorder.lost)), ([], 1))

    def test_writes_after_it(self) -> None:
        """Nothing can be written behind the CLOSE_REQ."""
        recorder = self.open()
        recorder.tunnel.loseConnection()
        recorder.tunnel.write(b"too late")
        self.endpoint.flush()
        self.assertEqual(self.proxy.received(), b"")
        self.proxy.send(packets.close_rsp(CONNECT_ID))
        self.endpoint.flush()
        recorder.tunnel.write(b"far too late")
        self.assertEqual(len(recorder.lost), 1)

    def test_stream_ended_instead_of_an_answer(self) -> None:
        """A proxy that ends the stream with OK after the CLOSE_REQ has closed the tunnel."""
        recorder = self.open()
        recorder.tunnel.loseConnection()
        self.endpoint.flush()
        self.proxy.wire.end_stream(1)
        self.proxy.flush()
        self.endpoint.flush()
        (reason,) = recorder.lost
        reason.trap(ConnectionDone)

    def test_stop_producing_closes(self) -> None:
        """stopProducing is loseConnection, as on Twisted's transports."""
        recorder = self.open()
        recorder.tunnel.stopProducing()
        self.endpoint.flush()
        self.assertEqual(len(self.proxy.of_type(PacketType.CLOSE_REQ)), 1)
        self.proxy.send(packets.close_rsp(CONNECT_ID))

    def test_a_producer_that_comes_too_late(self) -> None:
        """A producer is stopped whose bytes could not go out any more, and not asked for them."""
        recorder, producer = self.open(), RaisingProducer()
        recorder.tunnel.loseConnection()
        recorder.tunnel.registerProducer(producer, False)
        self.clock.advance(0)
        self.assertTrue(producer.stopped)
        self.assertEqual(recorder.lost, [])
        self.finish()


class AbortTests(GrpcCase):
    """abortConnection: at once, and told in a later turn."""

    def test_resets_the_stream(self) -> None:
        """The stream is reset without a CLOSE_REQ; connectionLost does not come from within."""
        recorder = self.open()
        recorder.tunnel.abortConnection()
        recorder.tunnel.abortConnection()
        self.assertEqual(recorder.lost, [])
        self.endpoint.flush()
        (reason,) = recorder.lost
        reason.trap(ConnectionAborted)
        self.assertEqual(self.proxy.of_type(PacketType.CLOSE_REQ), [])
        self.assertTrue(self.proxy.ended[0].reset)

    def test_after_lose_connection(self) -> None:
        """An abort ends the wait for a CLOSE_RSP."""
        recorder = self.open()
        recorder.tunnel.loseConnection()
        recorder.tunnel.abortConnection()
        self.endpoint.flush()
        self.assertEqual(len(recorder.lost), 1)

    def test_drops_what_is_held(self) -> None:
        """A paused protocol that aborts is not given what was held."""
        recorder = self.open()
        recorder.tunnel.pauseProducing()
        self.proxy.send(data(b"held"))
        self.endpoint.flush()
        recorder.tunnel.abortConnection()
        recorder.tunnel.resumeProducing()
        self.endpoint.flush()
        self.assertEqual((recorder.data, len(recorder.lost)), ([], 1))


class EndTests(GrpcCase):
    """The other side ends first."""

    def test_destination_closes(self) -> None:
        """A CLOSE_RSP ends the tunnel cleanly, after every byte before it."""
        recorder = self.open(data(b"all of "), data(b"it"), packets.close_rsp(CONNECT_ID))
        self.assertEqual(recorder.bytes, b"all of it")
        (reason,) = recorder.lost
        reason.trap(ConnectionDone)
        self.assertTrue(self.proxy.lost)
        self.assertEqual(self.factory.stopped, 1)

    def test_a_reason_is_told(self) -> None:
        """A CLOSE_RSP with an error text is a lost connection with that text."""
        recorder = self.open(packets.close_rsp(CONNECT_ID, "the agent's connection was lost"))
        (reason,) = recorder.lost
        reason.trap(ConnectionLost)
        self.assertIn("the agent's connection was lost", str(reason.value))

    def test_a_paused_protocol_reads_everything_first(self) -> None:
        """connectionLost waits until a paused protocol has read what came before the end."""
        recorder = self.open()
        recorder.tunnel.pauseProducing()
        self.proxy.send(data(b"tail"), packets.close_rsp(CONNECT_ID))
        self.endpoint.flush()
        self.assertEqual((recorder.data, recorder.lost), ([], []))
        recorder.tunnel.resumeProducing()
        self.endpoint.flush()
        self.assertEqual((recorder.data, len(recorder.lost)), ([b"tail"], 1))

    def test_closing_while_the_end_waits(self) -> None:
        """A paused protocol may close a tunnel that the other side has ended: told once."""
        recorder = self.open()
        recorder.tunnel.pauseProducing()
        self.proxy.send(data(b"tail"), packets.close_rsp(CONNECT_ID))
        self.endpoint.flush()
        recorder.tunnel.loseConnection()
        self.assertEqual(recorder.lost, [])
        self.endpoint.flush()
        self.assertEqual((recorder.data, len(recorder.lost)), ([], 1))

    def test_stream_reset_by_the_proxy(self) -> None:
        """A stream that ends without CLOSE_RSP is a lost connection."""
        recorder = self.open()
        self.proxy.wire.end_stream(1, Status.UNAVAILABLE, "going down")
        self.proxy.flush()
        self.endpoint.flush()
        (reason,) = recorder.lost
        reason.trap(ConnectionLost)
        self.assertIn("going down", str(reason.value))

    def test_connection_to_the_proxy_lost(self) -> None:
        """A proxy that vanishes ends the tunnel."""
        recorder = self.open()
        self.proxy.transport.loseConnection()  # type: ignore[union-attr]
        self.endpoint.flush()
        (reason,) = recorder.lost
        reason.trap(ConnectionLost)

    def test_an_error_in_connection_lost(self) -> None:
        """A protocol that raises in connectionLost is logged, and the rest is cleaned up."""

        class Raising(Recorder):
            def connectionLost(self, reason: object = None) -> None:
                raise ZeroDivisionError("on purpose")

        self.factory = CountingFactory(Raising)
        self.open(packets.close_rsp(CONNECT_ID))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.factory.stopped, 1)
        self.assertTrue(self.proxy.lost)


class IsolationTests(GrpcCase):
    """Tunnels that share a connection."""

    connections = SharedConnection

    def test_a_paused_tunnel_does_not_hold_up_another(self) -> None:
        """While one protocol holds its window shut, another on the same connection is served."""
        stuck = self.open(stream=1)
        lively = self.open(stream=3)
        stuck.tunnel.pauseProducing()
        for _ in range(64):
            self.proxy.send(data(bytes(65536)), stream=1)
        self.endpoint.flush()
        self.assertGreater(self.proxy.wire.queued(1), MIB)
        self.proxy.send(data(b"still here"), stream=3)
        self.endpoint.flush()
        self.assertEqual(lively.bytes, b"still here")
        self.finish()

    def test_a_raising_protocol_does_not_end_another_tunnel(self) -> None:
        """What one protocol raises is no matter of the others on the connection."""

        class Raising(Recorder):
            def dataReceived(self, data: bytes) -> None:
                raise ZeroDivisionError("on purpose")

        lively = self.open(stream=1)
        self.factory = CountingFactory(Raising)
        self.open(data(b"x"), stream=3)
        self.flushLoggedErrors(ZeroDivisionError)
        self.proxy.send(data(b"still here"), stream=1)
        self.endpoint.flush()
        self.assertEqual((lively.bytes, lively.lost), (b"still here", []))
        self.finish()

    def open_second(self) -> Recorder:
        """Another tunnel's protocol, of a factory that counts for itself."""
        self.factory = CountingFactory()
        return self.open(stream=3)

    def check_only_the_second_ends(self, lively: Recorder, raising: Recorder) -> None:
        """The error was logged once and ended its own tunnel, with its stream, and no other."""
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        (reason,) = raising.lost
        reason.trap(ZeroDivisionError)
        self.assertEqual([(end.stream_id, end.reset) for end in self.proxy.ended], [(3, True)])
        self.assertEqual(self.factory.stopped, 1)
        self.proxy.send(data(b"still here"), stream=1)
        self.endpoint.flush()
        self.assertEqual((lively.bytes, lively.lost), (b"still here", []))
        self.finish()

    def test_a_push_producer_that_raises(self) -> None:
        """What a producer raises when the stream has room again ends its own tunnel only."""
        lively, raising = self.open(stream=1), self.open_second()
        self.proxy.holding = True
        raising.tunnel.registerProducer(RaisingProducer(), True)
        raising.tunnel.write(bytes(2 * MIB))
        self.endpoint.flush()
        self.assertEqual(raising.lost, [])
        self.proxy.holding = False
        self.proxy.take()
        self.endpoint.flush()
        self.check_only_the_second_ends(lively, raising)

    def test_a_pull_producer_that_raises(self) -> None:
        """What a producer raises when it is asked for more ends its own tunnel only."""
        lively, raising = self.open(stream=1), self.open_second()
        raising.tunnel.registerProducer(RaisingProducer(), False)
        self.clock.advance(0)
        self.endpoint.flush()
        self.check_only_the_second_ends(lively, raising)

    def test_a_producer_that_raises_when_it_is_stopped(self) -> None:
        """A producer that raises at the tunnel's end does not keep the protocol from learning."""

        class NeverStops(RaisingProducer):
            def stopProducing(self) -> None:
                raise ZeroDivisionError("on purpose")

        lively, raising = self.open(stream=1), self.open_second()
        raising.tunnel.registerProducer(NeverStops(), True)
        self.proxy.send(packets.close_rsp(CONNECT_ID), stream=3)
        self.endpoint.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        (reason,) = raising.lost
        reason.trap(ConnectionDone)
        self.assertEqual(self.factory.stopped, 1)
        self.assertEqual(lively.lost, [])
        self.finish()
