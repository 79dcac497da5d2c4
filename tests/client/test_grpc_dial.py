"""Tests of konnect.client.grpc_dial."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import HostnameAddress, IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionRefusedError, NoProtocol
from twisted.internet.protocol import Protocol

from konnect.client.destination import Destination
from konnect.client.errors import (
    DialCancelled,
    DialClosed,
    DialFailed,
    DialTimeout,
    EndpointFailed,
    StreamSetupFailed,
    TunnelClosed,
)
from konnect.wire import packets
from konnect.wire.packets import PacketType
from konnect.wire.status import Status
from tests.client.grpc_case import WEB, GrpcCase
from tests.client.scripted import CONNECT_ID, CountingFactory, Recorder


class AskingTests(GrpcCase):
    """What a dial sends."""

    def test_opens_a_proxy_stream(self) -> None:
        """A dial opens one stream of ProxyService/Proxy and names its user agent."""
        self.dial()
        (stream,) = self.proxy.opened
        self.assertEqual(stream.path, "/ProxyService/Proxy")
        self.assertIn("konnect/", dict(stream.metadata)["user-agent"])
        self.finish()

    def test_asks_for_the_destination(self) -> None:
        """The DIAL_REQ holds the protocol tcp, the address, and a random of 63 bits."""
        self.dial()
        request = self.proxy.request()
        self.assertEqual((request.protocol, request.address), ("tcp", "10.0.0.7:80"))
        self.assertGreater(request.random, 0)
        self.finish()

    def test_randoms_differ(self) -> None:
        """Two dials have two randoms."""
        self.dial()
        first = self.proxy.request().random
        self.dial()
        self.assertNotEqual(self.proxy.request().random, first)
        self.finish()


class OpenedTests(GrpcCase):
    """A dial that succeeds."""

    def test_connects_the_protocol(self) -> None:
        """The Deferred fires with the factory's protocol, connected once."""
        recorder = self.open()
        self.assertEqual(recorder.made, 1)
        self.assertEqual(self.factory.address, IPv4Address("TCP", "10.0.0.7", 80))
        self.finish()

    def test_the_transport_names_the_destination(self) -> None:
        """getPeer is the destination, as a name where a name was dialed."""
        dialed = self.dialer.dial(Destination("web.example", 443), self.factory)
        self.endpoint.flush()
        self.proxy.accept()
        self.endpoint.flush()
        recorder: Any = self.successResultOf(dialed)
        self.assertEqual(recorder.transport.getPeer(), HostnameAddress(b"web.example", 443))
        self.finish()

    def test_keeps_bytes_right_behind_the_answer(self) -> None:
        """DATA in the same read as the DIAL_RSP reaches the protocol, whole and in order."""
        greeting = [packets.data(CONNECT_ID, b"220 "), packets.data(CONNECT_ID, b"hello")]
        recorder = self.open(*greeting)
        self.assertEqual(recorder.data, [b"220 ", b"hello"])
        self.finish()

    def test_the_caller_has_the_protocol_before_its_first_bytes(self) -> None:
        """The Deferred fires before the first dataReceived."""
        dialed = self.dial()
        seen: list[list[bytes]] = []
        dialed.addCallback(lambda recorder: seen.append(list(recorder.data)))
        self.proxy.accept(packets.data(CONNECT_ID, b"early"))
        self.endpoint.flush()
        self.assertEqual(seen, [[]])
        self.finish()

    def test_tells_the_factory(self) -> None:
        """The factory is started with the dial and stopped when the tunnel is over."""
        recorder = self.open()
        self.assertEqual((self.factory.started, self.factory.stopped), (1, 0))
        recorder.tunnel.abortConnection()
        self.endpoint.flush()
        self.assertEqual((self.factory.started, self.factory.stopped), (1, 1))

    def test_each_dial_has_its_own_connection(self) -> None:
        """Two dials open two connections, and each is closed with its tunnel."""
        first = self.open()
        second = self.open()
        self.assertEqual(len(self.endpoint.peers), 2)
        first.tunnel.abortConnection()
        self.endpoint.flush()
        self.assertEqual([peer.lost for peer in self.endpoint.peers], [True, False])
        self.assertEqual(second.lost, [])
        self.finish()


class FailedTests(GrpcCase):
    """Dials that come to nothing: typed, and nothing is left."""

    def failing(self, dialed: Deferred[Any], kind: type[DialFailed]) -> DialFailed:
        """Check that a dial failed with exactly `kind` and left nothing."""
        self.endpoint.flush()
        problem: DialFailed = self.failureResultOf(dialed, DialFailed).value
        self.assertIs(type(problem), kind)
        self.assertIsInstance(problem, ConnectError)
        self.assertEqual((self.factory.started, self.factory.stopped), (1, 1))
        self.assertTrue(all(peer.lost for peer in self.endpoint.peers))
        return problem

    def test_destination_refused(self) -> None:
        """A DIAL_RSP with an error fails with its very text."""
        dialed = self.dial()
        text = "dial tcp 10.0.0.7:80: connect: connection refused"
        self.proxy.send(packets.dial_rsp(self.proxy.request().random, error=text))
        problem = self.failing(dialed, EndpointFailed)
        self.assertEqual((problem.reason, str(problem)), ("endpoint", text))

    def test_dial_closed_by_the_agent(self) -> None:
        """A DIAL_CLS for the dial fails it."""
        dialed = self.dial()
        self.proxy.send(packets.dial_cls(self.proxy.request().random))
        problem = self.failing(dialed, DialClosed)
        self.assertEqual((problem.reason, str(problem)), ("dialclosed", "dial closed"))

    def test_no_answer(self) -> None:
        """After 30 seconds without an answer the dial is called off and fails."""
        dialed = self.dial()
        self.clock.advance(29.9)
        self.assertNoResult(dialed)
        self.clock.advance(0.1)
        problem = self.failing(dialed, DialTimeout)
        self.assertEqual((problem.reason, str(problem)), ("timeout", "dial timeout, backstop"))
        self.assertEqual(len(self.proxy.of_type(PacketType.DIAL_CLS)), 1)
        self.assertEqual(len(self.proxy.ended), 1)

    def test_proxy_not_reached_in_time(self) -> None:
        """The limit holds for reaching the proxy too; then nothing was asked."""
        self.endpoint.slow = True
        dialed = self.dial()
        self.clock.advance(30)
        problem = self.failing(dialed, StreamSetupFailed)
        self.assertEqual(str(problem), "the proxy was not reached within 30 seconds")
        self.assertEqual(self.endpoint.cancelled, 1)

    def test_proxy_unreachable(self) -> None:
        """A proxy that refuses the connection fails the dial with the reason."""
        self.endpoint.failure = ConnectionRefusedError()
        problem = self.failing(self.dial(), StreamSetupFailed)
        self.assertEqual(problem.reason, "streamsetup")
        self.assertEqual(str(problem), "cannot reach the proxy: connection refused")

    def test_stream_ended(self) -> None:
        """A stream that ends without an answer fails the dial with its status and text."""
        dialed = self.dial()
        self.proxy.wire.end_stream(1, Status.UNIMPLEMENTED, "unknown service ProxyService")
        self.proxy.flush()
        problem = self.failing(dialed, TunnelClosed)
        self.assertEqual(problem.reason, "tunnelclosed")
        self.assertIn("UNIMPLEMENTED: unknown service ProxyService", str(problem))

    def test_connection_lost(self) -> None:
        """A proxy that goes away fails the dial at once."""
        dialed = self.dial()
        self.proxy.transport.loseConnection()  # type: ignore[union-attr]
        problem = self.failing(dialed, TunnelClosed)
        self.assertEqual(str(problem), "tunnel closed: connection closed by the peer")

    def test_connection_lost_before_it_was_told_of(self) -> None:
        """An endpoint may tell of a connection that is gone again: nobody waits for its end."""
        told: Deferred[Any] = Deferred()
        connect = self.endpoint.connect
        self.endpoint.connect = lambda factory: connect(factory).addCallback(  # type: ignore
            lambda _: told
        )
        dialed = self.dial()
        self.proxy.transport.loseConnection()  # type: ignore[union-attr]
        self.endpoint.flush()
        told.callback(None)
        self.failureResultOf(dialed, StreamSetupFailed)
        self.finish()

    def test_malformed_packet(self) -> None:
        """A packet without its payload fails the dial and resets the stream."""
        dialed = self.dial()
        self.proxy.send(b"\x08\x01")
        problem = self.failing(dialed, DialFailed)
        self.assertEqual(problem.reason, "unknown")
        self.assertIn("malformed packet: DIAL_RSP packet without dialResponse", str(problem))
        self.assertEqual(len(self.proxy.ended), 1)

    def test_answer_without_a_connect_id(self) -> None:
        """A success with connectID 0, which no DATA could be addressed to, is a failure."""
        dialed = self.dial()
        self.proxy.send(packets.dial_rsp(self.proxy.request().random, connect_id=0))
        self.assertIn("without a connectID", str(self.failing(dialed, DialFailed)))

    def test_no_protocol(self) -> None:
        """A factory that builds nothing fails the dial, and the tunnel is ended."""

        class Nothing(CountingFactory):
            def buildProtocol(self, addr: object) -> Any:
                return None

        dialed = self.dial(Nothing())
        self.proxy.accept()
        self.endpoint.flush()
        self.failureResultOf(dialed, NoProtocol)
        self.assertEqual(len(self.proxy.ended), 1)
        self.assertTrue(self.proxy.lost)

    def test_close_fails_what_is_under_way(self) -> None:
        """Closing the dialer fails a pending dial, whether it waits for the proxy or an answer."""
        answered = self.dial()
        self.endpoint.slow = True
        connecting = self.dial(CountingFactory())
        closing = self.dialer.close()
        self.endpoint.flush()
        self.successResultOf(closing)
        self.failureResultOf(answered, TunnelClosed)
        self.failureResultOf(connecting, TunnelClosed)
        self.failureResultOf(self.dial(CountingFactory()), TunnelClosed)


class IgnoredTests(GrpcCase):
    """What does not concern a dial changes nothing."""

    def test_packets_about_others(self) -> None:
        """Answers and DIAL_CLS with another random, early DATA and unknown types are ignored."""
        dialed = self.dial()
        other = self.proxy.request().random ^ 1
        self.proxy.send(
            packets.dial_rsp(other, connect_id=3),
            packets.dial_rsp(other, error="no"),
            packets.dial_cls(other),
            packets.data(CONNECT_ID, b"too early"),
            packets.close_rsp(CONNECT_ID),
            packets.drain(),
            b"\x08\x63",
        )
        self.endpoint.flush()
        self.assertNoResult(dialed)
        self.proxy.accept()
        self.endpoint.flush()
        self.assertEqual(self.successResultOf(dialed).data, [])
        self.finish()

    def test_a_second_answer(self) -> None:
        """A duplicate DIAL_RSP does not disturb the open tunnel."""
        recorder = self.open()
        self.proxy.accept(packets.data(CONNECT_ID, b"still here"))
        self.endpoint.flush()
        self.assertEqual((recorder.made, recorder.bytes, recorder.lost), (1, b"still here", []))
        self.finish()


class CancelledTests(GrpcCase):
    """Cancelling works at any moment and leaves nothing."""

    def cancelled(self, dialed: Deferred[Any]) -> None:
        """Cancel, and check that nothing is left."""
        dialed.cancel()
        problem = self.failureResultOf(dialed, DialCancelled).value
        self.assertIsInstance(problem, CancelledError)
        self.assertEqual((problem.reason, str(problem)), ("context", "dial timeout, context"))
        self.endpoint.flush()
        self.assertTrue(all(peer.lost for peer in self.endpoint.peers))
        self.assertEqual((self.factory.started, self.factory.stopped), (1, 1))

    def test_while_the_proxy_is_reached(self) -> None:
        """The connection attempt is cancelled."""
        self.endpoint.slow = True
        self.cancelled(self.dial())
        self.assertEqual(self.endpoint.cancelled, 1)

    def test_before_any_byte_was_read(self) -> None:
        """Right after the call, with the request not even delivered."""
        self.cancelled(self.dialer.dial(WEB, self.factory))

    def test_while_the_answer_is_awaited(self) -> None:
        """DIAL_CLS is sent with the dial's random, then the stream is reset."""
        dialed = self.dial()
        self.cancelled(dialed)
        (packet,) = self.proxy.of_type(PacketType.DIAL_CLS)
        self.assertEqual(packet.closeDial.random, self.proxy.request().random)
        (end,) = self.proxy.ended
        self.assertTrue(end.reset)

    def test_after_success(self) -> None:
        """Cancelling the Deferred of a dial that has succeeded does nothing to the tunnel."""
        dialed = self.dial()
        self.proxy.accept()
        self.endpoint.flush()
        recorder = self.successResultOf(dialed)
        dialed.cancel()
        self.endpoint.flush()
        self.assertEqual(recorder.lost, [])
        self.finish()

    def test_within_connection_made(self) -> None:
        """A protocol may cancel its own dial while it is being connected; no tunnel is left."""
        dials: list[Deferred[Any]] = []

        class Cancelling(Recorder):
            def connectionMade(self) -> None:
                super().connectionMade()
                dials[0].cancel()

        dials.append(self.dial(CountingFactory(Cancelling)))
        self.proxy.accept()
        self.endpoint.flush()
        recorder = self.successResultOf(dials[0])
        self.assertEqual((recorder.made, recorder.lost), (1, []))
        self.finish()

    def test_limit_counts_only_the_dial(self) -> None:
        """An open tunnel outlives the limit of its dial."""
        recorder = self.open()
        self.clock.advance(31)
        self.endpoint.flush()
        self.assertEqual(recorder.lost, [])
        self.finish()


class ProtocolTests(GrpcCase):
    """The protocol may do anything when it is connected."""

    def test_closing_at_once(self) -> None:
        """A protocol that closes in connectionMade still is what the Deferred gives."""

        class Closing(Recorder):
            def connectionMade(self) -> None:
                super().connectionMade()
                self.tunnel.write(b"bye")
                self.tunnel.loseConnection()

        dialed = self.dial(CountingFactory(Closing))
        self.proxy.accept()
        self.endpoint.flush()
        self.proxy.send(packets.close_rsp(CONNECT_ID))
        self.endpoint.flush()
        self.assertEqual(self.proxy.received(), b"bye")
        self.assertEqual(len(self.successResultOf(dialed).lost), 1)

    def test_raising(self) -> None:
        """A protocol that raises in connectionMade is logged and loses its tunnel."""

        class Raising(Protocol):
            def connectionMade(self) -> None:
                raise ZeroDivisionError("on purpose")

        dialed = self.dial(CountingFactory(Raising))
        self.proxy.accept()
        self.endpoint.flush()
        self.successResultOf(dialed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(self.proxy.lost)
