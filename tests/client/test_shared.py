"""Tests of konnect.client.shared."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost, ConnectionRefusedError

from konnect.client.connections import ClientConnection
from konnect.client.errors import DialCancelled, StreamSetupFailed, TunnelClosed
from konnect.client.shared import SharedConnection
from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.client.grpc_case import GrpcCase
from tests.client.scripted import CONNECT_ID, CountingFactory


class SharedTests(GrpcCase):
    """Many tunnels, one connection."""

    connections = SharedConnection

    def test_every_dial_has_its_stream(self) -> None:
        """Tunnels run on streams of one connection, and end one by one."""
        first, second = self.open(stream=1), self.open(stream=3)
        self.assertEqual(len(self.endpoint.peers), 1)
        self.proxy.send(packets.data(CONNECT_ID, b"to the first"), stream=1)
        self.proxy.send(packets.data(CONNECT_ID, b"to the second"), stream=3)
        self.endpoint.flush()
        self.assertEqual((first.bytes, second.bytes), (b"to the first", b"to the second"))
        first.tunnel.loseConnection()
        self.proxy.send(packets.close_rsp(CONNECT_ID), stream=1)
        self.endpoint.flush()
        self.assertEqual((len(first.lost), second.lost), (1, []))
        self.assertFalse(self.proxy.lost)
        self.finish()

    def test_dials_wait_for_one_attempt(self) -> None:
        """Dials made while the connection is opened wait for it together."""
        self.endpoint.slow = True
        dials = [self.dial() for _ in range(3)]
        self.assertEqual(len(self.endpoint.waiting), 1)
        self.endpoint.complete()
        self.endpoint.flush()
        self.assertEqual(len(self.proxy.opened), 3)
        for stream, dialed in zip((1, 3, 5), dials, strict=True):
            self.proxy.accept(stream=stream)
            self.endpoint.flush()
            self.successResultOf(dialed)
        self.finish()

    def test_failed_attempt_fails_all(self) -> None:
        """All waiting dials fail with the attempt, and the next dial tries anew."""
        self.endpoint.slow = True
        dials = [self.dial(CountingFactory()) for _ in range(2)]
        connecting, _ = self.endpoint.waiting.pop()
        connecting.errback(ConnectionRefusedError())
        for dialed in dials:
            self.failureResultOf(dialed, StreamSetupFailed)
        self.endpoint.slow = False
        self.open()
        self.finish()

    def test_cancelling_one_of_several(self) -> None:
        """The attempt goes on for those who still wait."""
        self.endpoint.slow = True
        first, second = self.dial(), self.dial(CountingFactory())
        first.cancel()
        self.failureResultOf(first, DialCancelled)
        self.assertEqual(self.endpoint.cancelled, 0)
        self.endpoint.complete()
        self.endpoint.flush()
        self.assertEqual(len(self.proxy.opened), 1)
        self.proxy.accept()
        self.endpoint.flush()
        self.successResultOf(second)
        self.finish()

    def test_cancelling_another_on_failure(self) -> None:
        """A dial's failure may cancel another that waited for the same attempt."""
        self.endpoint.slow = True
        first, second = self.dial(), self.dial(CountingFactory())
        first.addErrback(lambda _: second.cancel())
        connecting, _ = self.endpoint.waiting.pop()
        connecting.errback(ConnectionRefusedError())
        self.successResultOf(first)
        self.failureResultOf(second, DialCancelled)
        self.finish()

    def test_cancelling_another_on_success(self) -> None:
        """Who is given the connection may cancel another, which then does not count as a user."""
        self.endpoint.slow = True
        connections = SharedConnection(self.endpoint, self.clock)
        first, second, third = (connections.acquire() for _ in range(3))

        def cancel_second(connection: ClientConnection) -> Any:
            second.cancel()
            return connection

        first.addCallback(cancel_second)
        self.endpoint.complete()
        self.endpoint.flush()
        self.failureResultOf(second, CancelledError)
        connection = self.successResultOf(first)
        self.assertIs(self.successResultOf(third), connection)
        self.proxy.wire.goaway()
        self.proxy.flush()
        self.endpoint.flush()
        connections.release(connection)
        self.endpoint.flush()
        self.assertFalse(self.proxy.lost)
        connections.release(connection)
        self.endpoint.flush()
        self.assertTrue(self.proxy.lost)

    def test_cancelling_the_last(self) -> None:
        """The attempt is given up with the last who waits for it."""
        self.endpoint.slow = True
        dials = [self.dial(CountingFactory()) for _ in range(2)]
        for dialed in dials:
            dialed.cancel()
            self.failureResultOf(dialed, DialCancelled)
        self.assertEqual(self.endpoint.cancelled, 1)

    def test_cancelling_a_dial_ends_only_its_stream(self) -> None:
        """A dial that is given up resets its stream; the others do not notice."""
        recorder = self.open(stream=1)
        dialed = self.dial(CountingFactory())
        dialed.cancel()
        self.failureResultOf(dialed, DialCancelled)
        self.endpoint.flush()
        self.assertEqual([end.stream_id for end in self.proxy.ended], [3])
        self.assertEqual(len(self.proxy.of_type(PacketType.DIAL_CLS, 3)), 1)
        self.assertEqual(recorder.lost, [])
        self.finish()

    def test_dials_anew_after_a_loss(self) -> None:
        """A lost connection ends its tunnels; the next dial opens another."""
        first = self.open()
        self.proxy.transport.loseConnection()  # type: ignore[union-attr]
        self.endpoint.flush()
        first.lost[0].trap(ConnectionLost)
        second = self.open()
        self.assertEqual((len(self.endpoint.peers), second.lost), (2, []))
        self.finish()

    def test_dials_anew_while_a_broken_one_closes(self) -> None:
        """A connection that has broken the protocol is asked no more, however long it closes."""
        self.open()
        self.endpoint.clients[-1].dataReceived(b"\0" * 9)  # DATA on stream 0
        self.assertFalse(self.proxy.lost)
        second = self.open()
        self.assertEqual((len(self.endpoint.peers), second.lost), (2, []))
        self.finish()

    def test_going_away(self) -> None:
        """After a GOAWAY new dials go elsewhere; the old connection ends with its last tunnel."""
        first = self.open()
        old = self.proxy
        old.wire.goaway()
        old.flush()
        self.endpoint.flush()
        second = self.open()
        self.assertEqual(len(self.endpoint.peers), 2)
        self.assertFalse(old.lost)
        old.send(packets.data(CONNECT_ID, b"going on"))
        self.endpoint.flush()
        self.assertEqual(first.bytes, b"going on")
        first.tunnel.loseConnection()
        old.send(packets.close_rsp(CONNECT_ID))
        self.endpoint.flush()
        self.assertTrue(old.lost)
        self.assertEqual(second.lost, [])
        self.finish()

    def test_stream_ids_run_out(self) -> None:
        """When a connection's ids are used up, new dials go elsewhere, and it ends with its last
        tunnel."""
        first = self.open()
        old = self.proxy
        wire: Any = self.dialer._connections._current._wire  # type: ignore[attr-defined]
        http2 = wire._http2._real
        http2.highest_outbound_stream_id = 2**31 - 3
        last = self.open(stream=2**31 - 1)
        self.assertEqual(len(self.endpoint.peers), 1)
        second = self.open()
        self.assertEqual(len(self.endpoint.peers), 2)
        for recorder in (last, first):
            self.assertFalse(old.lost)
            recorder.tunnel.abortConnection()
            self.endpoint.flush()
        self.assertTrue(old.lost)
        self.assertEqual(second.lost, [])
        self.finish()

    def test_going_away_without_tunnels(self) -> None:
        """An idle connection that goes away is let go by the dial that replaces it."""
        first = self.open()
        first.tunnel.abortConnection()
        self.endpoint.flush()
        old = self.proxy
        old.wire.goaway()
        old.flush()
        self.endpoint.flush()
        self.open()
        self.assertTrue(old.lost)
        self.finish()

    def test_close(self) -> None:
        """close ends all tunnels and pending dials, waits for the end, and tells every caller."""
        recorder = self.open(stream=1)
        pending = self.dial(CountingFactory())
        closings = [self.dialer.close(), self.dialer.close()]
        self.assertNoResult(closings[0])
        self.endpoint.flush()
        for closing in closings:
            self.successResultOf(closing)
        self.assertEqual(len(recorder.lost), 1)
        self.failureResultOf(pending, TunnelClosed)
        self.failureResultOf(self.dial(CountingFactory()), TunnelClosed)

    def test_close_while_connecting(self) -> None:
        """close gives up an attempt that is under way."""
        self.endpoint.slow = True
        pending = self.dial()
        self.successResultOf(self.dialer.close())
        self.failureResultOf(pending, TunnelClosed)
        self.assertEqual(self.endpoint.cancelled, 1)
