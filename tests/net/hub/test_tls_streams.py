"""TLS connections behave alike on stock transports and on the hub; the peer is Python's own TLS."""

from __future__ import annotations

import gc
import socket
import ssl
import weakref
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport

from konnect.net.closing import can_half_close
from konnect.net.diagnosis import explain
from konnect.net.hub.tls import TlsTransport
from konnect.net.tls import peer_name
from tests.certificates import pki
from tests.functional.waiting import turns, until
from tests.net.hub.cases import TransportCase
from tests.net.hub.peers import (
    Counting,
    HalfTlsRecorder,
    Keeping,
    Recorder,
    Remote,
    TlsRecorder,
)

MEGABYTES = bytes(range(256)) * 4096 * 8


def client_context(
    cert: tuple[str, str] | None = None, *, ca: str = "", alpn: tuple[str, ...] = ("h2",)
) -> ssl.SSLContext:
    """A client's TLS, by default with the frontend's client certificate."""
    files = pki()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca or files.frontend_ca)
    if cert is None:
        cert = (files.frontend_client_cert, files.frontend_client_key)
    if cert[0]:
        context.load_cert_chain(*cert)
    context.set_alpn_protocols(list(alpn))
    return context


def server_context(*, alpn: tuple[str, ...] = ("h2",)) -> ssl.SSLContext:
    """A server's TLS that demands a client certificate."""
    files = pki()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(files.frontend_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(files.frontend_cert, files.frontend_key)
    context.set_alpn_protocols(list(alpn))
    return context


class TlsCase(TransportCase):
    """Certificates of the test PKI on our side."""

    def server_text(self) -> str:
        files = pki()
        return (
            f"mtls:0:interface=127.0.0.1:cert={files.frontend_cert}:key={files.frontend_key}"
            f":ca={files.frontend_ca}:alpn=h2"
        )

    def client_text(self, listener: Any) -> str:
        files = pki()
        return (
            f"mtls:127.0.0.1:{_port_of(listener)}:ca={files.frontend_ca}:alpn=h2"
            f":cert={files.frontend_client_cert}:key={files.frontend_client_key}"
        )

    async def secured(
        self, make: Callable[[], Any] = TlsRecorder, context: ssl.SSLContext | None = None
    ) -> tuple[Any, Remote]:
        """A connection that our listener accepted, with TLS established."""
        protocol, remote = await self.accepted(make)
        await remote.secure(context or client_context(), server=False, name="localhost")
        await until(lambda: "handshakeCompleted" in protocol.calls, "the handshake")
        return protocol, remote


def _port_of(listener: Any) -> int:
    """Of a plain socket, or of a listening port of Twisted's."""
    if isinstance(listener, socket.socket):
        return int(listener.getsockname()[1])
    return int(listener.getHost().port)


class TlsStreams:
    """What both do; the classes below say where."""

    accepted: Any
    connected: Any
    secured: Any
    listen: Any
    call: Any
    lost: Any
    plain_listener: Any
    client_text: Any
    remote: Any
    reactor: Any
    hub: bool
    aborted: type[Exception]
    assertEqual: Any
    assertTrue: Any
    assertFalse: Any
    assertIn: Any
    assertIs: Any
    assertIsInstance: Any
    assertRaises: Any
    flushLoggedErrors: Any
    addCleanup: Any

    async def test_handshake_as_server(self) -> None:
        """An accepted connection knows its peer and the agreed protocol after the handshake, and
        its protocol exists from before."""
        protocol, remote = await self.accepted(TlsRecorder)
        transport = protocol.wire
        self.assertTrue(ISSLTransport.providedBy(transport))
        self.assertEqual(isinstance(transport, TlsTransport), self.hub)
        self.assertEqual((protocol.made, protocol.calls), (1, []))
        await remote.secure(client_context(), server=False, name="localhost")
        await until(lambda: protocol.calls == ["handshakeCompleted"], "the handshake")
        self.assertEqual(transport.negotiatedProtocol, b"h2")
        self.assertEqual(peer_name(transport), "proxy-client")
        self.assertIsInstance(transport.getHandle(), SSL.Connection)
        await remote.say(b"question")
        await until(lambda: protocol.received == b"question", "what was said")
        transport.write(b"answer")
        self.assertEqual(await remote.hear(6), b"answer")

    async def test_handshake_as_client(self) -> None:
        """Our own connection verifies the server, shows its certificate and offers ALPN."""
        protocol, remote = await self.connected(HalfTlsRecorder)
        await remote.secure(server_context(), server=True)
        await until(lambda: protocol.calls == ["handshakeCompleted"], "the handshake")
        self.assertEqual(protocol.wire.negotiatedProtocol, b"h2")
        self.assertEqual(remote.sock.selected_alpn_protocol(), "h2")
        self.assertTrue(remote.sock.getpeercert())
        await remote.say(MEGABYTES)
        protocol.wire.write(b"thanks")
        self.assertEqual(await remote.hear(6), b"thanks")
        await until(lambda: len(protocol.received) >= len(MEGABYTES), "everything")
        self.assertTrue(protocol.received == MEGABYTES)

    async def test_write_before_handshake(self) -> None:
        """What is written before the handshake is sent after it."""
        protocol, remote = await self.accepted(TlsRecorder)
        protocol.wire.write(b"early")
        await remote.secure(client_context(), server=False, name="localhost")
        self.assertEqual(await remote.hear(5), b"early")

    async def test_bulk_out(self) -> None:
        """What the kernel does not take at once is sent later, complete and in order; a producer
        is paused meanwhile."""
        protocol, remote = await self.secured()
        producer = Counting()
        protocol.wire.registerProducer(producer, True)
        protocol.wire.write(MEGABYTES)
        self.assertEqual(producer.calls, ["pause"])
        for number in range(50):
            protocol.wire.write(b"%03d" % number)
        heard = await remote.hear(len(MEGABYTES) + 150)
        self.assertTrue(heard[: len(MEGABYTES)] == MEGABYTES)
        self.assertEqual(heard[len(MEGABYTES) :], b"".join(b"%03d" % n for n in range(50)))
        await until(lambda: producer.calls[-1] == "resume", "the producer is resumed")
        protocol.wire.unregisterProducer()

    async def test_pull_producer(self) -> None:
        """A pull producer is asked until it unregisters."""
        protocol, remote = await self.secured()
        producer = Counting()
        left = [b"c", b"b", b"a"]
        producer.on_resume = lambda: (
            protocol.wire.write(left.pop()) if left else protocol.wire.unregisterProducer()
        )
        protocol.wire.registerProducer(producer, False)
        self.assertEqual(await remote.hear(3), b"abc")
        await until(lambda: not left, "everything is asked for")

    async def test_pause_reading(self) -> None:
        """Nothing is read while paused, and everything after."""
        protocol, remote = await self.secured()
        protocol.wire.pauseProducing()
        await remote.say(b"x" * 40000)
        await turns(5)
        self.assertEqual(protocol.received, b"")
        protocol.wire.resumeProducing()
        await until(lambda: len(protocol.received) == 40000, "it is read")

    async def test_lose_connection(self) -> None:
        """Closing sends all that was written, close_notify, and ends cleanly with the peer's."""
        protocol, remote = await self.secured()
        protocol.wire.write(MEGABYTES)
        protocol.wire.loseConnection()
        protocol.wire.write(b"dropped")
        self.assertTrue(protocol.wire.disconnecting)
        self.assertTrue(await remote.hear(len(MEGABYTES)) == MEGABYTES)
        self.assertEqual(await remote.end(), "end")
        self.assertFalse(protocol.lost)
        await until(lambda: remote._attempt(remote.sock.unwrap) is not None, "the peer's end")
        self.assertEqual(await self.lost(protocol), ConnectionDone)

    async def test_lose_connection_to_rude_peer(self) -> None:
        """A peer that answers our close_notify with a bare FIN has lost us the connection."""
        protocol, remote = await self.secured()
        protocol.wire.loseConnection()
        self.assertEqual(await remote.end(), "end")
        remote.sock.shutdown(socket.SHUT_RDWR)
        self.assertEqual(await self.lost(protocol), ConnectionLost)

    async def test_closing_waits_for_producer(self) -> None:
        """With a registered producer, closing waits until it has unregistered."""
        protocol, remote = await self.secured()
        protocol.wire.registerProducer(Counting(), True)
        protocol.wire.loseConnection()
        await turns(4)
        self.assertTrue(remote.silent())
        protocol.wire.write(b"still")
        self.assertEqual(await remote.hear(5), b"still")
        protocol.wire.unregisterProducer()
        protocol.wire.write(b"dropped")
        self.assertEqual(await remote.end(), "end")

    async def test_closing_before_handshake(self) -> None:
        """A connection whose handshake has not been made is aborted by a close."""
        protocol, _remote = await self.accepted(TlsRecorder)
        protocol.wire.loseConnection()
        self.assertEqual(await self.lost(protocol), self.aborted)

    async def test_peer_ends(self) -> None:
        """The peer's close_notify ends the connection cleanly and is answered."""
        protocol, remote = await self.secured()
        await remote.say(b"bye")
        self.assertIs(remote._attempt(remote.sock.unwrap) is None, False)
        self.assertEqual(await self.lost(protocol), ConnectionDone)
        self.assertEqual(protocol.received, b"bye")

    async def test_peer_is_cut_off(self) -> None:
        """An end without close_notify is ConnectionLost, for half-closing protocols too."""
        for make in (TlsRecorder, HalfTlsRecorder):
            protocol, remote = await self.secured(make)
            remote.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(await self.lost(protocol), ConnectionLost)
            self.assertEqual(protocol.calls, ["handshakeCompleted", "connectionLost"])

    async def test_abort(self) -> None:
        """Aborting resets the connection and is told later, not within the call."""
        protocol, remote = await self.secured()
        protocol.wire.abortConnection()
        self.assertFalse(protocol.lost)
        self.assertEqual(await self.lost(protocol), self.aborted)
        await until(lambda: _dead(remote), "the reset")

    async def test_client_without_certificate(self) -> None:
        """A client without a certificate is refused, with OpenSSL's reason."""
        protocol, remote = await self.accepted(TlsRecorder)
        try:
            await remote.secure(client_context(("", "")), server=False, name="localhost")
        except ssl.SSLError:
            pass
        self.assertEqual(await self.lost(protocol), SSL.Error)
        self.assertIn("no client certificate", explain(protocol.reasons[0]))
        self.assertEqual(protocol.calls, ["connectionLost"])

    async def test_client_of_another_authority(self) -> None:
        """A client certificate of an unknown authority is refused by name."""
        files = pki()
        protocol, remote = await self.accepted(TlsRecorder)
        context = client_context((files.other_client_cert, files.other_client_key))
        try:
            await remote.secure(context, server=False, name="localhost")
        except ssl.SSLError:
            pass
        await self.lost(protocol)
        self.assertIn("unknown certificate authority", explain(protocol.reasons[0]))

    async def test_no_tls(self) -> None:
        """Plain text on a TLS port is named."""
        protocol, remote = await self.accepted(TlsRecorder)
        await remote.say(b"GET / HTTP/1.1\r\n\r\n")
        await self.lost(protocol)
        self.assertIn("spoke no TLS", explain(protocol.reasons[0]))

    async def test_hang_up_in_handshake(self) -> None:
        """A peer that leaves amid the handshake is ConnectionLost, and told as that."""
        protocol, remote = await self.accepted(TlsRecorder)
        transport = protocol.wire
        told: list[str] = []
        protocol.connectionLost = lambda reason: (
            told.append(explain(reason, transport)),  # type: ignore[func-returns-value]
            Recorder.connectionLost(protocol, reason),  # type: ignore[func-returns-value]
        )
        remote.close()
        self.assertEqual(await self.lost(protocol), ConnectionLost)
        self.assertIn("closed the connection during the TLS handshake", told[0])

    async def test_wrong_server(self) -> None:
        """A server whose certificate is for another name is refused by our client."""
        files = pki()
        context = server_context()
        context.load_cert_chain(files.misnamed_server_cert, files.misnamed_server_key)
        protocol, remote = await self.connected(TlsRecorder)
        try:
            await remote.secure(context, server=True)
        except (ssl.SSLError, OSError):
            pass
        await self.lost(protocol)
        self.assertIn("is not valid for 127.0.0.1", explain(protocol.reasons[0]))

    async def test_error_in_handshake_completed(self) -> None:
        """An exception in handshakeCompleted is logged once and ends the connection."""
        protocol, remote = await self.accepted(_Raising)
        await remote.secure(client_context(), server=False, name="localhost")
        await self.lost(protocol)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_close_in_handshake_completed(self) -> None:
        """A protocol may close amid handshakeCompleted."""
        _, remote = await self.accepted(_Closing)
        await remote.secure(client_context(), server=False, name="localhost")
        self.assertEqual(await remote.hear(4), b"bye")
        self.assertEqual(await remote.end(), "end")

    async def test_no_cycles(self) -> None:
        """Nothing but its users keeps a finished connection in memory."""
        protocol, remote = await self.secured()
        if not self.hub:
            return
        transport, handle = weakref.ref(protocol.wire), weakref.ref(protocol.wire.getHandle())
        gc.disable()
        self.addCleanup(gc.enable)
        remote.close()
        await self.lost(protocol)
        protocol.transport = None
        await turns()
        self.assertEqual((transport(), handle()), (None, None))


def _dead(remote: Remote) -> bool:
    try:
        return remote._attempt(remote.sock.recv, 1) == b""  # type: ignore[no-any-return]
    except OSError:
        return True


class _Raising(TlsRecorder):
    def handshakeCompleted(self) -> None:
        raise ZeroDivisionError


class _Closing(TlsRecorder):
    def handshakeCompleted(self) -> None:
        self.wire.write(b"bye")
        self.wire.loseConnection()


class HubTlsTests(TlsStreams, TlsCase):
    """TLS on the hub, with what only it can do."""

    aborted = ConnectionAborted

    async def test_half_close_by_peer(self) -> None:
        """The peer's close_notify ends reading only, once, for a protocol that knows half-close."""
        protocol, remote = await self.secured(HalfTlsRecorder)
        await remote.say(b"question")
        remote._attempt(remote.sock.unwrap)
        await until(lambda: "readConnectionLost" in protocol.calls, "the end of reading")
        protocol.wire.write(b"answer")
        await turns()
        self.assertFalse(protocol.lost)
        protocol.wire.loseConnection()
        self.assertEqual(await self.lost(protocol), ConnectionDone)
        self.assertEqual(
            protocol.calls, ["handshakeCompleted", "readConnectionLost", "connectionLost"]
        )

    async def test_end_by_peer_with_a_paused_producer(self) -> None:
        """A protocol that knows no half-close is not told of the peer's close_notify, so its
        producer stays: what is queued is sent, the producer may add to it, and then it is over."""
        for rest in (b"", b"more"):
            await self._end_by_peer(rest)

    async def _end_by_peer(self, rest: bytes) -> None:
        factory = Keeping(TlsRecorder)
        port = await self.listen(factory)
        endpoint = clientFromString(self.reactor, self.client_text(port))
        peer: Any = await endpoint.connect(Keeping(HalfTlsRecorder))
        await until(lambda: factory.made and factory.made[0].calls and peer.calls, "the handshake")
        protocol = factory.made[0]
        self._protocols += [protocol, peer]
        producer = Counting()
        producer.on_resume = lambda: protocol.wire.write(rest)
        protocol.wire.registerProducer(producer, True)
        peer.wire.pauseProducing()
        protocol.wire.write(MEGABYTES)
        await until(lambda: producer.calls == ["pause"], "the pause")
        peer.wire.loseWriteConnection()
        await until(lambda: protocol.wire.disconnecting, "the peer's end")
        peer.wire.resumeProducing()
        self.assertEqual(await self.lost(protocol), ConnectionDone)
        self.assertEqual(producer.calls, ["pause", "resume", "stop"])
        await until(lambda: "readConnectionLost" in peer.calls, "our end")
        self.assertTrue(peer.received == MEGABYTES + rest)

    async def test_before_tls_1_3(self) -> None:
        """Up to TLS 1.2 a close_notify is the end of both directions, and nobody may count on
        less."""
        for version, ends_one in (
            (ssl.TLSVersion.TLSv1_2, False),
            (ssl.TLSVersion.TLSv1_3, True),
        ):
            context = client_context()
            context.minimum_version = context.maximum_version = version
            protocol, _ = await self.secured(HalfTlsRecorder, context)
            self.assertEqual(can_half_close(protocol.wire), ends_one)
            protocol.wire.abortConnection()
            await self.lost(protocol)
            self.assertFalse(can_half_close(protocol.wire))

    async def test_half_close_by_us(self) -> None:
        """loseWriteConnection sends close_notify after everything, and reading goes on."""
        protocol, remote = await self.secured(HalfTlsRecorder)
        protocol.wire.write(MEGABYTES)
        protocol.wire.loseWriteConnection()
        self.assertTrue(await remote.hear(len(MEGABYTES)) == MEGABYTES)
        self.assertEqual(await remote.end(), "end")
        await until(lambda: "writeConnectionLost" in protocol.calls, "the end of writing")
        protocol.wire.write(b"dropped")
        await remote.say(b"answer")
        await until(lambda: protocol.received == b"answer", "the answer")
        remote._attempt(remote.sock.unwrap)
        await until(lambda: "readConnectionLost" in protocol.calls, "the end of reading")
        protocol.wire.loseConnection()
        self.assertEqual(await self.lost(protocol), ConnectionDone)
        self.assertEqual(
            protocol.calls[1:], ["writeConnectionLost", "readConnectionLost", "connectionLost"]
        )

    async def test_gathering(self) -> None:
        """Small writes of one turn leave as one TLS record."""
        protocol, remote = await self.secured(_Chatty)
        await remote.say(b"x")
        await until(lambda: protocol.received, "the question")
        data = b""
        while not data:
            try:
                data = remote.sock.recv(65536)
            except ssl.SSLWantReadError:
                await turns()
        self.assertEqual(data, b"0123456789")

    async def test_handshake_while_paused(self) -> None:
        """A protocol that reads nothing yet does not keep the handshake from being made."""
        protocol, remote = await self.accepted(_Paused)
        await remote.secure(client_context(), server=False, name="localhost")
        await remote.say(b"later")
        await until(lambda: "handshakeCompleted" in protocol.calls, "the handshake")
        await turns(4)
        self.assertEqual(protocol.received, b"")
        protocol.wire.resumeProducing()
        await until(lambda: protocol.received == b"later", "it is read")

    async def test_many_handshakes(self) -> None:
        """More handshakes at once than one turn makes are all made."""
        factory = Keeping(TlsRecorder)
        port = await self.listen(factory)
        remotes = [self.call(port) for _ in range(40)]
        await until(lambda: len(factory.made) == 40, "all are accepted")
        self._protocols += factory.made
        for remote in remotes:
            await remote.secure(client_context(), server=False, name="localhost")
        await until(lambda: all(p.calls for p in factory.made), "all handshakes")


class _Chatty(TlsRecorder):
    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        for digit in b"0123456789":
            self.wire.write(bytes((digit,)))


class _Paused(TlsRecorder):
    def connectionMade(self) -> None:
        super().connectionMade()
        self.wire.pauseProducing()


class StockTlsTests(TlsStreams, TlsCase):
    """TLS on Twisted's transports."""

    hub = False
    aborted = ConnectionLost
