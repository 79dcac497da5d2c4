"""Tests of konnect.net.closing: what the kernel says of a socket, and resets that lose nothing."""

from __future__ import annotations

import socket
import struct
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock, deferLater
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from konnect.net.closing import (
    POLL,
    AbortWhenSent,
    broken,
    can_half_close,
    ended_below,
    ended_whole,
    hung_up,
    unsent,
)
from tests.fakes import FakeSocket

SIZE = 4 * 1024 * 1024


class ConditionTests(SynchronousTestCase):
    """Questions to the kernel."""

    def setUp(self) -> None:
        self.ours, self.peer = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.peer.close)

    def test_hung_up(self) -> None:
        """A unix peer that has closed is told apart from one that only ended its side."""
        self.assertFalse(hung_up(self.ours))
        self.peer.shutdown(socket.SHUT_WR)
        self.assertFalse(hung_up(self.ours))
        self.peer.close()
        self.assertTrue(hung_up(self.ours))

    def test_broken(self) -> None:
        """A peer that closed with bytes unread has reset the connection."""
        self.assertFalse(broken(self.ours))
        self.ours.send(b"unread")
        self.peer.close()
        self.assertTrue(broken(self.ours))

    def test_ended_whole(self) -> None:
        """A TLS peer's FIN is told from a TLS peer that keeps TCP open; on others it says
        nothing."""
        plain, secure = FakeSocket(), FakeSocket(tls=True, hub=True)
        for transport in (plain, secure):
            transport.fileno = self.ours.fileno  # type: ignore[attr-defined]
        self.assertFalse(ended_whole(secure))
        self.peer.shutdown(socket.SHUT_WR)
        self.assertTrue(ended_whole(secure))
        self.assertFalse(ended_whole(plain))

    def test_unsent(self) -> None:
        """Bytes that the peer has not taken are known."""
        self.assertEqual(unsent(self.ours), 0)
        self.ours.send(b"x")
        self.assertGreater(unsent(self.ours), 0)
        self.peer.recv(1)
        self.assertEqual(unsent(self.ours), 0)

    def test_no_socket(self) -> None:
        """What has no descriptor, or a closed one, has no condition."""
        self.ours.close()
        for transport in (None, SimpleNamespace(), FakeSocket(), self.ours):
            self.assertFalse(hung_up(transport))
            self.assertFalse(broken(transport))
            self.assertEqual(unsent(transport), 0)

    def test_half_close(self) -> None:
        """Twisted's TLS only claims to be able to close one side; the hub's is."""
        self.assertTrue(can_half_close(FakeSocket()))
        self.assertFalse(can_half_close(FakeSocket(tls=True)))
        self.assertTrue(can_half_close(FakeSocket(tls=True, hub=True)))
        self.assertFalse(can_half_close(SimpleNamespace()))

    def test_ended_below(self) -> None:
        """A TLS transport whose socket is closing is ending by itself; others never are."""
        plain, tls = FakeSocket(), FakeSocket(tls=True)
        self.assertFalse(ended_below(plain))
        self.assertFalse(ended_below(tls))
        tls.transport.disconnecting = True
        self.assertTrue(ended_below(tls))


class WaitTests(SynchronousTestCase):
    """The wait before a reset."""

    def test_the_registration_is_no_answer(self) -> None:
        """A transport that asks for more when it gets its producer has not sent anything yet."""
        transport = FakeSocket()
        transport.write(b"x")
        aborted: list[bool] = []
        wait = AbortWhenSent(transport, Clock(), lambda: aborted.append(True))
        wait.start()
        self.assertEqual(aborted, [])
        transport.drain()
        self.assertEqual(aborted, [True])
        self.assertIsNone(transport.producer)
        wait.stopProducing()
        wait.stop()

    def test_a_transport_that_cannot_be_asked(self) -> None:
        """Where nobody can make the transport write, a look is taken a little later."""

        class Other(FakeSocket):
            startWriting = None  # type: ignore[assignment]

        clock = Clock()
        aborted: list[bool] = []
        AbortWhenSent(Other(), clock, lambda: aborted.append(True)).start()
        self.assertEqual(aborted, [])
        clock.advance(POLL)
        self.assertEqual(aborted, [True])

    def test_below_tls(self) -> None:
        """The buffer that counts is that of the socket's own transport."""
        raw = FakeSocket()
        wrapper = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
        wrapper.transport = raw  # type: ignore[assignment]
        wait = AbortWhenSent(wrapper, Clock(), lambda: None)
        wait.start()
        self.assertIs(raw.producer, wait)


class Reader(Protocol):
    """Counts what comes; `gone` fires with the reason of the end."""

    def __init__(self) -> None:
        self.received = 0
        self.gone: Deferred[list[Failure]] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # Handed over in a list, since a Failure alone would be an errback.
        self.gone.callback([reason])


class Writer(Protocol):
    """Writes much at once and then resets."""

    def connectionMade(self) -> None:
        from twisted.internet import reactor

        transport: Any = self.transport
        transport.write(b"x" * SIZE)
        AbortWhenSent(transport, reactor, transport.abortConnection).start()


@implementer(IHalfCloseableProtocol)
class HeldWriter(Protocol):
    """Writes what its peer does not read, and resets behind that when the peer has ended its
    side."""

    waiting = 256 * 1024

    def __init__(self) -> None:
        self.resetting: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * self.waiting)
        transport.write(b"x" * self.waiting)

    def readConnectionLost(self) -> None:
        from twisted.internet import reactor

        transport: Any = self.transport
        AbortWhenSent(transport, reactor, transport.abortConnection).start()
        self.resetting.callback(None)

    def writeConnectionLost(self) -> None:
        """Not before the reset."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class ResetTests(TestCase):
    """The real thing, on loopback."""

    timeout = 20

    async def test_a_peer_that_resets(self) -> None:
        """The wait is over when the peer has reset the connection, though the kernel then still
        counts what the peer has not taken, and nobody reads any more."""
        from twisted.internet import reactor

        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer = HeldWriter()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", listener.getsockname()[1])
        await endpoint.connect(Factory.forProtocol(lambda: writer))
        peer, _ = listener.accept()
        peer.shutdown(socket.SHUT_WR)
        await writer.resetting
        await deferLater(reactor, 5 * POLL)
        self.assertFalse(writer.gone.called)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        await writer.gone

    async def test_nothing_is_lost(self) -> None:
        """The peer gets every byte written before the reset, and then the reset."""
        from twisted.internet import reactor

        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(Factory.forProtocol(Writer))
        self.addCleanup(port.stopListening)
        reader = Reader()
        client = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        await client.connect(Factory.forProtocol(lambda: reader))
        (reason,) = await reader.gone
        self.assertEqual(reader.received, SIZE)
        self.assertIsNotNone(reason.check(ConnectionLost))
