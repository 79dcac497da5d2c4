"""Edges of the hub's transports where several things happen in one turn."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.error import CannotListenError, ConnectionLost
from twisted.internet.protocol import ClientFactory

from konnect.net.hub.dialing import hub_reach
from konnect.net.hub.loop import hub_of
from konnect.net.hub.ports import Port
from tests.functional.waiting import turns, until
from tests.net.hub.cases import TransportCase
from tests.net.hub.peers import Counting, HalfRecorder, Keeping, Recorder
from tests.net.hub.test_connecting import Taking
from tests.net.hub.test_streams import MEGABYTES
from tests.ports import free_port


class ConnectionTests(TransportCase):
    """Of connections."""

    async def test_detach_too_late(self) -> None:
        """A transport that is over and not told yet gives no socket away, and is told."""
        protocol, remote = await self.accepted()
        protocol.wire.abortConnection()
        with self.assertRaises(ConnectionLost):
            protocol.wire.detach()
        await self.lost(protocol)
        self.assertEqual(await remote.end(), "reset")

    async def test_half_close_behind_a_producer(self) -> None:
        """The end of a stream whose producer was paused is told when the producer unregisters,
        also if it had no more to say."""
        protocol, remote = await self.accepted(HalfRecorder)
        producer = Counting()
        protocol.wire.registerProducer(producer, True)
        protocol.wire.write(MEGABYTES)
        protocol.wire.loseWriteConnection()
        await turns()
        await remote.hear(len(MEGABYTES))
        await until(lambda: producer.calls == ["pause", "resume"], "the producer is resumed")
        self.assertTrue(remote.silent())
        protocol.wire.unregisterProducer()
        self.assertEqual(await remote.end(), "end")
        self.assertEqual(protocol.calls, ["writeConnectionLost"])


class NoMemory:
    """A socket for which the kernel has no memory, the next few times."""

    def __init__(self, sock: Any, times: int) -> None:
        self._sock = sock
        self.times = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def _send(self, call: Any, data: Any) -> int:
        if self.times:
            self.times -= 1
            raise OSError(errno.ENOBUFS, "No buffer space available")
        sent: int = call(data)
        return sent

    def send(self, data: Any) -> int:
        """Of one piece."""
        return self._send(self._sock.send, data)

    def sendmsg(self, data: Any) -> int:
        """Of several."""
        return self._send(self._sock.sendmsg, data)


class MemoryTests(TransportCase):
    """Of unix sockets, which may find no memory."""

    unix = True

    async def test_no_memory(self) -> None:
        """What the kernel has no memory for is sent later, as by Twisted's."""
        for write in ("write", "write_now", "writeSequence"):
            protocol, remote = await self.accepted()
            sock = protocol.wire._sock = NoMemory(protocol.wire._sock, 3)
            getattr(protocol.wire, write)([b"a", b"b"] if write == "writeSequence" else b"ab")
            self.assertEqual(await remote.hear(2), b"ab")
            self.assertEqual((sock.times, protocol.lost), (0, False))
            await self._ports.pop().stopListening()


class Again(ClientFactory):
    """Connects again, once, as soon as the first attempt has failed or the connection is lost."""

    noisy = False
    protocol = Recorder

    def __init__(self) -> None:
        self.counts: list[str] = []
        self.made: list[Any] = []

    def startFactory(self) -> None:
        self.counts.append("start")

    def stopFactory(self) -> None:
        self.counts.append("stop")

    def buildProtocol(self, addr: Any) -> Any:
        self.made.append(Recorder())
        return self.made[-1]

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self.counts.append("failed")
        if self.counts.count("failed") < 2:
            connector.connect()

    def clientConnectionLost(self, connector: Any, reason: Any) -> None:
        self.counts.append("lost")
        if self.counts.count("lost") < 2:
            connector.connect()


class StockConnectorTests(TransportCase):
    """Of connectors; as Twisted's."""

    hub = False

    async def test_again_after_failure(self) -> None:
        """A factory that connects again within the call that tells of a failure is started and
        stopped once."""
        factory = Again()
        self.reactor.connectTCP("127.0.0.1", free_port(), factory)
        await until(lambda: "stop" in factory.counts, "the factory's end")
        self.assertEqual(factory.counts, ["start", "failed", "failed", "stop"])

    async def test_again_after_loss(self) -> None:
        """The same after a connection that was lost."""
        listener = self.plain_listener()
        factory = Again()
        self.reactor.connectTCP("127.0.0.1", listener.getsockname()[1], factory)
        for count in (1, 2):
            await until(lambda: len(factory.made) == count, "a connection")  # noqa: B023
            self.remote(listener.accept()[0]).close()
        await until(lambda: "stop" in factory.counts, "the factory's end")
        self._protocols += factory.made
        self.assertEqual(factory.counts, ["start", "lost", "lost", "stop"])


class HubConnectorTests(StockConnectorTests):
    """The hub's."""

    hub = True

    async def test_exit_in_making(self) -> None:
        """SystemExit while a protocol is made ends that attempt like other mistakes: nothing of it
        stays on the hub."""

        def make() -> Any:
            raise SystemExit

        listener = self.plain_listener()
        taking = Taking()
        hub_reach(self.reactor)("127.0.0.1", listener.getsockname()[1], make, taking)
        await until(lambda: taking.results, "the attempt's outcome")
        self.assertIsInstance(taking.results[0], SystemExit)
        self.assertEqual(await self.remote(listener.accept()[0]).end(), "end")
        factory = Again()
        factory.buildProtocol = lambda addr: make()  # type: ignore[method-assign]
        factory.counts.append("lost")
        self.reactor.connectTCP("127.0.0.1", listener.getsockname()[1], factory)
        await until(lambda: "stop" in factory.counts, "the factory's end")
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)
        self.assertEqual(hub_of(self.reactor)._channels, {})


class ListenerTests(TransportCase):
    """Of listeners."""

    async def test_exit_in_build_protocol(self) -> None:
        """SystemExit while a protocol is made closes that connection; the listener goes on."""

        def make() -> Any:
            if len(factory.made):
                return Recorder()
            factory.made.append(None)
            raise SystemExit

        factory = Keeping(make)
        port = await self.listen(factory)
        self.assertEqual(await self.call(port).end(), "end")
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)
        self.call(port)
        await until(lambda: len(factory.made) == 2, "the next connection")
        self._protocols.append(factory.made[1])

    async def test_failed_while_paused(self) -> None:
        """A listener that is let go of while it waits for descriptors leaves no delayed call."""
        port: Port = await self.listen(Keeping())
        port._pause(OSError(24, "Too many open files"))
        port.failed(ZeroDivisionError())
        await turns()
        self.assertIs(port._resume_call, None)


class UnixListenerTests(TransportCase):
    """Of unix listeners."""

    unix = True

    async def test_abstract(self) -> None:
        """A socket of the abstract namespace, which has no file, can be listened on."""
        name = f"\0konnect-{os.getpid()}"
        factory = Keeping()
        self._ports.append(self.reactor.listenUNIX(name, factory))
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(name)
        remote = self.remote(sock)
        await until(lambda: factory.made and factory.made[0].made, "the connection")
        self._protocols += factory.made
        factory.made[0].wire.write(b"hello")
        self.assertEqual(await remote.hear(5), b"hello")
        self.assertEqual(self._ports[0].getHost().name, name.encode())

    async def test_cannot_listen(self) -> None:
        """If a bound socket does not listen, neither its file nor its lock stays."""

        class Deaf(socket.socket):
            def listen(self, backlog: int = 0) -> None:
                raise OSError(98, "Address already in use")

        port = self.reactor.listenUNIX(self.path, Keeping(), wantPID=True)
        await port.stopListening()
        self.patch(socket, "socket", Deaf)
        with self.assertRaises(CannotListenError):
            self.reactor.listenUNIX(self.path, Keeping(), wantPID=True)
        self.assertEqual(os.listdir(self.directory), [])
