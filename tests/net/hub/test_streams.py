"""Plain connections behave alike on stock transports and on the hub, TCP and unix sockets."""

from __future__ import annotations

import fcntl
import gc
import socket
import sys
import termios
import weakref
from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost

from konnect.net.closing import hung_up
from konnect.net.hub.transport import StreamTransport
from tests.functional.waiting import turns, until
from tests.net.hub.cases import TransportCase
from tests.net.hub.peers import Counting, HalfRecorder, Recorder

MEGABYTES = bytes(range(256)) * 4096 * 8
"""8 MiB: more than two kernels' socket buffers take."""


class Streams:
    """What both kinds of transport do; the classes below say where."""

    # What mypy is to know of the mixed-in case.
    accepted: Any
    connected: Any
    lost: Any
    assertEqual: Any
    assertTrue: Any
    assertFalse: Any
    assertIn: Any
    assertNotIn: Any
    assertRaises: Any
    assertIsInstance: Any
    assertLess: Any
    flushLoggedErrors: Any
    unix: bool
    hub: bool
    path: str

    async def test_echo_both_ways(self) -> None:
        """Bytes arrive in order, in both directions, for accepted and for own connections."""
        for pair in (self.accepted, self.connected):
            protocol, remote = await pair()
            await remote.say(b"one")
            await until(lambda p=protocol: p.received == b"one", "what was said")  # type: ignore[misc]
            protocol.wire.write(b"two")
            protocol.wire.writeSequence([b"three", b"four"])
            self.assertEqual(await remote.hear(12), b"twothreefour")
            if self.unix:
                break

    async def test_kind(self) -> None:
        """The connections under test are what they claim to be."""
        for pair in (self.accepted, self.connected):
            protocol, _ = await pair()
            self.assertEqual(isinstance(protocol.wire, StreamTransport), self.hub)
            if self.unix:
                break

    async def test_bulk_out(self) -> None:
        """What the kernel does not take at once is sent later, complete and in order."""
        protocol, remote = await self.accepted()
        protocol.wire.write(MEGABYTES)
        for number in range(100):
            protocol.wire.write(b"%03d" % number)
        heard = await remote.hear(len(MEGABYTES) + 300)
        self.assertTrue(heard[: len(MEGABYTES)] == MEGABYTES)
        self.assertEqual(heard[len(MEGABYTES) :], b"".join(b"%03d" % n for n in range(100)))

    async def test_bulk_in(self) -> None:
        """A flood of bytes arrives complete and in order."""
        protocol, remote = await self.accepted()
        await remote.say(MEGABYTES)
        await until(lambda: len(protocol.received) >= len(MEGABYTES), "everything")
        self.assertTrue(protocol.received == MEGABYTES)

    async def test_write_takes_bytes_only(self) -> None:
        """Text is refused at once, nothing is sent for empty bytes."""
        protocol, remote = await self.accepted()
        self.assertRaises(TypeError, protocol.wire.write, "text")
        protocol.wire.write(b"")
        await turns()
        self.assertTrue(remote.silent())

    async def test_push_producer(self) -> None:
        """A push producer is paused inside the write that fills the queue, and resumed when all is
        sent."""
        protocol, remote = await self.accepted()
        producer = Counting()
        protocol.wire.registerProducer(producer, True)
        protocol.wire.write(b"small")
        self.assertEqual(producer.calls, [])
        protocol.wire.write(MEGABYTES)
        self.assertEqual(producer.calls, ["pause"])
        await turns()
        self.assertEqual(producer.calls, ["pause"])
        await remote.hear(5 + len(MEGABYTES))
        await until(lambda: producer.calls == ["pause", "resume"], "the producer is resumed")
        protocol.wire.unregisterProducer()

    async def test_write_while_resumed(self) -> None:
        """A producer may write inside resumeProducing, and is paused again there."""
        protocol, remote = await self.accepted()
        # Or the kernel's window may have grown until it takes a whole write at once.
        remote.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        producer = Counting()
        left = [MEGABYTES, MEGABYTES]
        producer.on_resume = lambda: left and protocol.wire.write(left.pop())
        protocol.wire.registerProducer(producer, True)
        protocol.wire.write(MEGABYTES)
        await remote.hear(3 * len(MEGABYTES))
        await until(lambda: producer.calls.count("resume") == 3, "the producer is resumed")
        self.assertEqual(producer.calls, ["pause", "resume"] * 3)
        protocol.wire.unregisterProducer()

    async def test_pull_producer(self) -> None:
        """A pull producer is asked for more each time that all is sent, and not after it has
        unregistered."""
        protocol, remote = await self.accepted()
        producer = Counting()
        left = [b"c", b"b", b"a"]

        def more() -> None:
            if left:
                protocol.wire.write(left.pop())
            else:
                protocol.wire.unregisterProducer()

        producer.on_resume = more
        protocol.wire.registerProducer(producer, False)
        self.assertEqual(await remote.hear(3), b"abc")
        await until(lambda: producer.calls == ["resume"] * 4, "it is asked once more")
        await turns()
        self.assertEqual(producer.calls, ["resume"] * 4)

    async def test_one_producer(self) -> None:
        """A second producer is refused while one is registered; one that comes too late is
        stopped."""
        protocol, remote = await self.accepted()
        transport = protocol.wire
        transport.registerProducer(Counting(), True)
        self.assertRaises(RuntimeError, transport.registerProducer, Counting(), True)
        remote.close()
        await self.lost(protocol)
        late = Counting()
        transport.registerProducer(late, True)
        self.assertEqual(late.calls, ["stop"])

    async def test_producer_stopped(self) -> None:
        """The producer is told when the connection is gone."""
        protocol, remote = await self.accepted()
        producer = Counting()
        protocol.wire.registerProducer(producer, True)
        remote.close()
        await self.lost(protocol)
        self.assertEqual(producer.calls, ["stop"])

    async def test_closing_with_paused_producer(self) -> None:
        """With a paused producer, closing waits until that unregisters; what it wrote is sent."""
        protocol, remote = await self.accepted()
        producer = Counting()
        protocol.wire.registerProducer(producer, True)
        protocol.wire.write(MEGABYTES)
        protocol.wire.loseConnection()
        producer.on_resume = lambda: (
            protocol.wire.write(b"last"),
            protocol.wire.unregisterProducer(),
        )
        heard = await remote.hear(len(MEGABYTES) + 5)
        self.assertEqual(heard[len(MEGABYTES) :], b"last")
        self.assertEqual(await self.lost(protocol), ConnectionDone)

    async def test_pause_reading(self) -> None:
        """Nothing is read while paused, and everything after."""
        protocol, remote = await self.accepted()
        protocol.wire.pauseProducing()
        await remote.say(b"waits")
        await turns(5)
        self.assertEqual(protocol.received, b"")
        protocol.wire.resumeProducing()
        await until(lambda: protocol.received == b"waits", "it is read")

    async def test_a_read_takes_what_is_there(self) -> None:
        """One read takes all that the kernel has (up to 64 KiB at least): reads of a few KiB would
        make a packet each."""
        protocol, remote = await self.accepted()
        sizes: list[int] = []
        protocol.dataReceived = lambda data: sizes.append(len(data))
        protocol.wire.pauseProducing()
        await remote.say(bytes(50_000))
        fd = protocol.wire.fileno()
        await until(lambda: _unread(fd) == 50_000, "all of it in the kernel")
        protocol.wire.resumeProducing()
        await until(lambda: sum(sizes) == 50_000, "it is read")
        self.assertEqual(sizes, [50_000])

    async def test_hang_up_while_paused(self) -> None:
        """A peer that leaves while we do not read is noticed when we do, and costs no processor
        before."""
        protocol, remote = await self.accepted()
        protocol.wire.pauseProducing()
        await remote.say(b"bye")
        remote.close()
        await turns(5)
        self.assertFalse(protocol.lost)
        protocol.wire.resumeProducing()
        self.assertEqual(await self.lost(protocol), ConnectionDone)
        self.assertEqual(protocol.received, b"bye")

    async def test_lose_connection(self) -> None:
        """Closing sends everything first and is then a clean end for both."""
        protocol, remote = await self.accepted()
        protocol.wire.write(MEGABYTES)
        protocol.wire.loseConnection()
        self.assertTrue(protocol.wire.disconnecting)
        self.assertFalse(protocol.lost)
        self.assertTrue(await remote.hear(len(MEGABYTES)) == MEGABYTES)
        self.assertEqual(await remote.end(), "end")
        self.assertEqual(await self.lost(protocol), ConnectionDone)
        self.assertFalse(protocol.wire.connected)

    async def test_peer_ends(self) -> None:
        """The peer's end is ConnectionDone, after its last byte."""
        protocol, remote = await self.accepted()
        await remote.say(b"bye")
        remote.close()
        self.assertEqual(await self.lost(protocol), ConnectionDone)
        self.assertEqual(protocol.received, b"bye")

    async def test_half_close_by_peer(self) -> None:
        """A half-closed connection is still written to; the end of reading is told once."""
        protocol, remote = await self.accepted(HalfRecorder)
        await remote.say(b"question")
        remote.sock.shutdown(socket.SHUT_WR)
        await until(lambda: protocol.calls == ["readConnectionLost"], "the end of reading")
        self.assertEqual(protocol.received, b"question")
        protocol.wire.write(b"answer")
        self.assertEqual(await remote.hear(6), b"answer")
        protocol.wire.loseConnection()
        self.assertEqual(await self.lost(protocol), ConnectionDone)
        self.assertEqual(protocol.calls, ["readConnectionLost", "connectionLost"])

    async def test_half_closed_then_gone(self) -> None:
        """A unix peer that has closed only its sending side is not taken for one that is gone; it
        is seen to be gone when it is."""
        protocol, remote = await self.accepted(HalfRecorder)
        remote.sock.shutdown(socket.SHUT_WR)
        await until(lambda: protocol.calls, "the end of reading")
        self.assertFalse(hung_up(protocol.wire))
        remote.close()
        if self.unix:
            await until(lambda: hung_up(protocol.wire), "the whole end")
        protocol.wire.loseConnection()
        await self.lost(protocol)

    async def test_gone(self) -> None:
        """A unix peer that has closed as a whole is known to be gone; the hub's transport knows it
        by itself. TCP cannot say so."""
        protocol, remote = await self.accepted(HalfRecorder)
        remote.close()
        await until(lambda: protocol.calls, "the end of reading")
        self.assertEqual(hung_up(protocol.wire), self.unix)
        if self.hub:
            self.assertEqual(protocol.wire.hung_up, self.unix)
        protocol.wire.loseConnection()
        await self.lost(protocol)

    async def test_half_close_by_us(self) -> None:
        """loseWriteConnection sends everything and then the end, and reading goes on."""
        protocol, remote = await self.accepted(HalfRecorder)
        protocol.wire.write(MEGABYTES)
        protocol.wire.loseWriteConnection()
        self.assertTrue(await remote.hear(len(MEGABYTES)) == MEGABYTES)
        self.assertEqual(await remote.end(), "end")
        await until(lambda: protocol.calls == ["writeConnectionLost"], "the end of writing")
        protocol.wire.write(b"dropped")
        await remote.say(b"answer")
        await until(lambda: protocol.received == b"answer", "the answer")
        remote.sock.shutdown(socket.SHUT_WR)
        await until(lambda: "readConnectionLost" in protocol.calls, "the end of reading")
        protocol.wire.loseConnection()
        self.assertEqual(await self.lost(protocol), ConnectionDone)
        self.assertEqual(
            protocol.calls, ["writeConnectionLost", "readConnectionLost", "connectionLost"]
        )

    async def test_abort(self) -> None:
        """Aborting drops what is queued and is told as ConnectionAborted, not within the call."""
        protocol, remote = await self.accepted()
        protocol.wire.write(MEGABYTES)
        await turns()
        protocol.wire.abortConnection()
        protocol.wire.abortConnection()
        self.assertFalse(protocol.lost)
        self.assertEqual(await self.lost(protocol), ConnectionAborted)
        if not self.unix:
            with self.assertRaises(ConnectionResetError):
                await remote.hear(len(MEGABYTES))

    async def test_abort_while_closing(self) -> None:
        """An abort ends a close that waits for a peer that does not read."""
        protocol, _remote = await self.accepted()
        protocol.wire.write(MEGABYTES)
        protocol.wire.loseConnection()
        await turns()
        self.assertFalse(protocol.lost)
        protocol.wire.abortConnection()
        self.assertEqual(await self.lost(protocol), ConnectionAborted)

    async def test_peer_resets(self) -> None:
        """A reset is ConnectionLost."""
        if self.unix:
            return
        protocol, remote = await self.accepted()
        remote.reset()
        self.assertEqual(await self.lost(protocol), ConnectionLost)

    async def test_peer_leaves_while_we_write(self) -> None:
        """Writing to a peer that has gone ends the connection, and no exception reaches the
        writer."""
        protocol, remote = await self.accepted()
        protocol.wire.pauseProducing()
        remote.reset()
        await turns()
        for _ in range(3):
            protocol.wire.write(b"x" * 4096)
            await turns()
        self.assertEqual(await self.lost(protocol), ConnectionLost)
        protocol.wire.write(b"late")
        protocol.wire.loseConnection()

    async def test_error_in_data_received(self) -> None:
        """An exception in dataReceived is logged once and ends that connection only."""
        bad, remote = await self.accepted(_Raising)
        port = self._ports[-1]  # type: ignore[attr-defined]
        port.factory.make = Recorder
        other = self.call(port)  # type: ignore[attr-defined]
        await until(lambda: len(port.factory.made) == 2, "another connection")
        await remote.say(b"boom")
        self.assertEqual(await self.lost(bad), ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        good = port.factory.made[1]
        self._protocols.append(good)  # type: ignore[attr-defined]
        await other.say(b"well?")
        await until(lambda: good.received == b"well?", "the other connection goes on")

    async def test_error_in_read_ended(self) -> None:
        """An exception in readConnectionLost is logged once and ends the connection."""
        protocol, remote = await self.accepted(_RaisingAtEnd)
        remote.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(await self.lost(protocol), ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_close_in_data_received(self) -> None:
        """A protocol may close amid its own dataReceived; what it wrote before is sent."""
        protocol, remote = await self.accepted(_Closing)
        await remote.say(b"x")
        self.assertEqual(await remote.hear(9), b"good bye")
        self.assertEqual(await self.lost(protocol), ConnectionDone)

    async def test_addresses(self) -> None:
        """Both addresses are Twisted's, and the peer's is still known after the end."""
        protocol, remote = await self.accepted()
        transport = protocol.wire
        kind = UNIXAddress if self.unix else IPv4Address
        self.assertIsInstance(transport.getHost(), kind)
        self.assertIsInstance(transport.getPeer(), kind)
        if not self.unix:
            self.assertEqual(
                (transport.getPeer().host, transport.getPeer().port), remote.sock.getsockname()
            )
        remote.close()
        await self.lost(protocol)
        self.assertIsInstance(transport.getPeer(), kind)

    async def test_socket_options(self) -> None:
        """The socket's options can be set and read, and are harmless on a unix socket."""
        protocol, _ = await self.accepted()
        protocol.wire.setTcpNoDelay(True)
        self.assertEqual(bool(protocol.wire.getTcpNoDelay()), not self.unix)
        protocol.wire.setTcpKeepAlive(True)
        self.assertTrue(protocol.wire.getTcpKeepAlive())

    async def test_prompt_and_watchful(self) -> None:
        """What a TCP listener of the hub accepts is told neither: it has both from the listener."""
        protocol, _ = await self.accepted()
        told = not self.unix and self.hub
        self.assertEqual(bool(protocol.wire.getTcpNoDelay()), told)
        self.assertEqual(bool(protocol.wire.getTcpKeepAlive()), told)

    async def test_no_cycles(self) -> None:
        """Nothing but its users keeps a finished connection in memory."""
        protocol, remote = await self.accepted()
        transport = weakref.ref(protocol.wire)
        gc.disable()
        self.addCleanup(gc.enable)  # type: ignore[attr-defined]
        remote.close()
        await self.lost(protocol)
        protocol.transport = None
        await turns()
        if self.hub:
            self.assertEqual(transport(), None)


def _unread(fd: int) -> int:
    """Bytes that the kernel has for a socket's reader."""
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


class _Raising(Recorder):
    def dataReceived(self, data: bytes) -> None:
        raise ZeroDivisionError


class _RaisingAtEnd(HalfRecorder):
    def readConnectionLost(self) -> None:
        raise ZeroDivisionError


class _Closing(Recorder):
    def dataReceived(self, data: bytes) -> None:
        self.wire.write(b"good ")
        self.wire.write(b"bye")
        self.wire.loseConnection()


class HubTcpTests(Streams, TransportCase):
    """TCP on the hub."""


class HubUnixTests(Streams, TransportCase):
    """Unix sockets on the hub."""

    unix = True


class StockTcpTests(Streams, TransportCase):
    """TCP on stock transports."""

    hub = False


class StockUnixTests(Streams, TransportCase):
    """Unix sockets on stock transports."""

    hub = False
    unix = True
