"""Listeners on the hub."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from zope.interface.verify import verifyObject

from konnect.net.hub.ports import BACKLOG, Port
from tests.functional.waiting import turns, until
from tests.net.hub.cases import TransportCase
from tests.net.hub.peers import Keeping, Recorder


class TcpPortTests(TransportCase):
    """TCP listeners."""

    async def test_listening(self) -> None:
        """A port knows its address, tells its factory of start and stop, and provides its
        interface."""
        factory = Keeping()
        port = await self.listen(factory)
        self.assertIsInstance(port, Port)
        verifyObject(IListeningPort, port)
        self.assertEqual(port.getHost().host, "127.0.0.1")
        self.assertEqual((factory.started, factory.stopped), (1, 0))
        await port.stopListening()
        self.assertEqual((factory.started, factory.stopped), (1, 1))
        await port.stopListening()

    async def test_taken(self) -> None:
        """A port that is taken is CannotListenError, with nothing left open."""
        port = await self.listen(Keeping())
        with self.assertRaises(CannotListenError):
            self.reactor.listenTCP(port.getHost().port, Keeping(), interface="127.0.0.1")

    async def test_ipv6(self) -> None:
        """An IPv6 interface is listened on, and its clients have IPv6 addresses."""
        factory = Keeping()
        try:
            port = self.reactor.listenTCP(0, factory, interface="::1")
        except CannotListenError:
            return  # a machine without IPv6
        self._ports.append(port)
        sock = socket.socket(socket.AF_INET6)
        sock.connect(("::1", port.getHost().port))
        self.remote(sock)
        await until(lambda: factory.made and factory.made[0].made, "the connection")
        self._protocols += factory.made
        self.assertEqual(factory.made[0].wire.getPeer().host, "::1")

    async def test_reuse(self) -> None:
        """A port can be listened on again at once, with old connections about."""
        protocol, remote = await self.accepted()
        old = self._ports.pop()
        number = old.getHost().port
        await old.stopListening()
        protocol.wire.loseConnection()
        await remote.end()
        again = self.reactor.listenTCP(number, Keeping(), interface="127.0.0.1")
        self._ports.append(again)
        self.assertEqual(again.getHost().port, number)

    async def test_connections_outlive_their_port(self) -> None:
        """What a listener accepted goes on after it has stopped."""
        protocol, remote = await self.accepted()
        await self._ports.pop().stopListening()
        await remote.say(b"still here")
        await until(lambda: protocol.received == b"still here", "what was said")

    async def test_many_at_once(self) -> None:
        """A burst longer than a batch is accepted whole."""
        factory = Keeping()
        port = await self.listen(factory)
        for _ in range(150):
            self.call(port)
        await until(lambda: len(factory.made) == 150, "all are accepted")
        self._protocols += factory.made
        self.assertGreaterEqual(port._backlog, BACKLOG)

    async def test_refused_by_factory(self) -> None:
        """A connection without a protocol is closed."""
        factory = Keeping(lambda: None)
        remote = self.call(await self.listen(factory))
        self.assertEqual(await remote.end(), "end")

    async def test_error_in_build_protocol(self) -> None:
        """An exception in buildProtocol is logged and closes that connection only."""

        def make() -> Any:
            if len(factory.made):
                return Recorder()
            factory.made.append(None)
            raise ZeroDivisionError

        factory = Keeping(make)
        port = await self.listen(factory)
        self.assertEqual(await self.call(port).end(), "end")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.call(port)
        await until(lambda: len(factory.made) == 2, "the next connection")
        self._protocols.append(factory.made[1])

    async def test_error_in_connection_made(self) -> None:
        """An exception in connectionMade is logged once and ends the connection."""
        factory = Keeping(_Raising)
        remote = self.call(await self.listen(factory))
        self.assertEqual(await remote.end(), "end")
        self._protocols += factory.made
        await self.lost(factory.made[0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_no_descriptors(self) -> None:
        """Without descriptors accepting pauses, says so once, and goes on when there are some."""
        factory = Keeping()
        port = await self.listen(factory)
        told: list[str] = []
        self.patch(port, "_pause", counted(port._pause, told))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.call(port)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        await until(lambda: len(told) >= 2, "two attempts to accept")
        self.assertEqual(factory.made, [])
        self.assertEqual(set(told), {errno.EMFILE})
        self.assertLess(len(told), 10)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await until(lambda: factory.made, "the connection is accepted")
        self._protocols += factory.made

    async def test_stop_while_paused(self) -> None:
        """A listener can be stopped while it waits for descriptors."""
        port = await self.listen(Keeping())
        port._pause(OSError(errno.EMFILE, "Too many open files"))
        await port.stopListening()


class UnixPortTests(TransportCase):
    """Unix listeners."""

    unix = True

    async def test_mode(self) -> None:
        """The socket file has the mode of the endpoint string before anybody can connect."""
        port = await serverFromString(self.reactor, f"unix:{self.path}:mode=640:lockfile=0").listen(
            Keeping()
        )
        self._ports.append(port)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o640)
        self.assertEqual(port.getHost().name, self.path.encode())

    async def test_file_goes(self) -> None:
        """The socket file goes with the listener, but not one that somebody else put there."""
        port = await self.listen(Keeping())
        await port.stopListening()
        self.assertFalse(os.path.exists(self.path))
        port = await self.listen(Keeping())
        os.rename(self.path, self.path + ".old")
        with open(self.path, "w"):
            pass
        await port.stopListening()
        self.assertTrue(os.path.exists(self.path))

    async def test_taken(self) -> None:
        """A path that exists is CannotListenError."""
        await self.listen(Keeping())
        with self.assertRaises(CannotListenError):
            self.reactor.listenUNIX(self.path, Keeping())

    async def test_lock_file(self) -> None:
        """With a lock file, a second listener is refused while the first lives, and a socket left
        by a dead process is removed."""
        port = self.reactor.listenUNIX(self.path, Keeping(), wantPID=True)
        self._ports.append(port)
        with self.assertRaises(CannotListenError):
            self.reactor.listenUNIX(self.path, Keeping(), wantPID=True)
        await self._ports.pop().stopListening()
        self.assertFalse(os.path.lexists(self.path + ".lock"))
        left = socket.socket(socket.AF_UNIX)
        left.bind(self.path)
        left.close()
        os.symlink("4194305", self.path + ".lock")  # above every process id
        self._ports.append(self.reactor.listenUNIX(self.path, Keeping(), wantPID=True))
        await turns()


def counted(pause: Any, told: list[Any]) -> Any:
    """A port's `_pause` that notes for which errors it is called."""

    def counted(error: OSError) -> None:
        told.append(error.errno)
        pause(error)

    return counted


class _Raising(Recorder):
    def connectionMade(self) -> None:
        super().connectionMade()
        raise ZeroDivisionError
