"""Descriptors that the kernel does not watch: fs.epoll.max_user_watches is reached, or there is no
descriptor left for the epoll."""

from __future__ import annotations

import errno
import os
import select
from types import SimpleNamespace
from typing import Any

from twisted.internet.error import CannotListenError, ConnectError

from konnect.net.hub import loop, ports
from konnect.net.hub.dialing import hub_reach
from konnect.net.hub.loop import IN, Hub
from tests.functional.waiting import turns, until
from tests.net.hub import test_loop
from tests.net.hub.cases import TransportCase
from tests.net.hub.peers import Keeping, Recorder
from tests.net.hub.test_connecting import Taking
from tests.net.hub.test_ports import counted


class Scarce:
    """An epoll that watches no more while there is a shortage."""

    shortage = 0
    """The error of watching one more; 0: there is none."""
    spared = -1
    """A descriptor that is watched all the same."""

    def __init__(self) -> None:
        _raise(type(self).shortage)
        self._epoll = select.epoll()
        self.watched: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)

    def register(self, fd: int, mask: int) -> None:
        if fd != self.spared:
            _raise(type(self).shortage)
        self._epoll.register(fd, mask)
        self.watched.add(fd)

    def unregister(self, fd: int) -> None:
        self._epoll.unregister(fd)
        self.watched.remove(fd)


def _raise(number: int) -> None:
    if number:
        raise OSError(number, os.strerror(number))


class UnservedHubTests(test_loop.HubTests):
    """All that the hub does, on such an epoll, and what it does in a shortage."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(Scarce, "shortage", 0)
        self.patch(loop, "select", SimpleNamespace(epoll=Scarce))

    def test_newcomer(self) -> None:
        """One that cannot be watched is told when the turn ends, and nothing of it is left."""
        other = self.stub("a")
        Scarce.shortage = errno.ENOSPC
        fd = self.stub("b").fd
        self.assertEqual(self.log, [])
        self.reactor.advance(0)
        self.assertEqual(self.log, ["failed b: OSError"])
        self.assertEqual(list(self.hub._channels), [other.fd])
        Scarce.shortage = 0
        self.patch(loop, "TURNS", 1)
        self.assertEqual(self.stub("c").fd, fd)
        self.hub.doRead()
        self.assertIn("event c", self.log)

    def test_no_epoll(self) -> None:
        """Without a descriptor for the epoll the first channel is told, and a later one served."""
        Scarce.shortage = errno.EMFILE
        stub = self.stub("a")
        self.hub.want(stub, IN)
        self.reactor.advance(0)
        self.assertEqual(set(self.log), {"failed a: OSError"})
        self.assertEqual((self.hub._channels, self.reactor.readers), ({}, []))
        Scarce.shortage = 0
        self.stub("b")
        self.assertEqual(self.reactor.readers, [self.hub])

    def test_reactor_has_no_room(self) -> None:
        """The stock reactor's epoll may be the one that has no room for the hub."""
        made: list[Any] = []

        def refuse(hub: Hub) -> None:
            made.append(hub.fileno())
            _raise(errno.ENOSPC)

        self.patch(self.reactor, "addReader", refuse)
        self.stub("a")
        self.reactor.advance(0)
        self.assertEqual(self.log, ["failed a: OSError"])
        self.assertRaises(OSError, os.fstat, made[0])
        self.assertEqual(self.hub.fileno(), -1)

    def test_within_a_turn(self) -> None:
        """Who cannot be watched again is told in the same turn; who asked for it goes on."""
        self.patch(loop, "TURNS", 1)
        asking, other = self.stub("a"), self.stub("b", 0)
        Scarce.shortage = errno.ENOMEM
        asking.on_event = lambda: self.hub.want(other, IN)
        self.hub.doRead()
        self.assertEqual(self.log, ["event a", "failed b: OSError"])
        self.assertGreaterEqual(asking.fd, 0)

    def test_left_meanwhile(self) -> None:
        """One that has left before it is told is told nothing wrong: it is dropped already."""
        stub = self.stub("a", 0)
        Scarce.shortage = errno.ENOSPC
        self.hub.want(stub, IN)
        stub.close()
        self.reactor.advance(0)
        self.assertEqual((self.hub._channels, self.reactor.readers), ({}, []))


class UnservedTransportTests(TransportCase):
    """What connections and listeners make of it."""

    def setUp(self) -> Any:
        self.patch(Scarce, "shortage", 0)
        self.patch(loop, "select", SimpleNamespace(epoll=Scarce))
        return super().setUp()

    async def test_dial(self) -> None:
        """A dial fails with the kernel's reason."""
        listener = self.plain_listener()
        Scarce.shortage = errno.ENOSPC
        taking = Taking()
        hub_reach(self.reactor)("127.0.0.1", listener.getsockname()[1], Recorder, taking)
        await until(lambda: taking.results, "the attempt's outcome")
        (error,) = taking.results
        self.assertIsInstance(error, ConnectError)
        self.assertEqual(error.osError, errno.ENOSPC)

    async def test_dial_without_epoll(self) -> None:
        """So does one for which there is no descriptor after its socket's."""
        listener = self.plain_listener()
        Scarce.shortage = errno.EMFILE
        taking = Taking()
        attempt = hub_reach(self.reactor)("127.0.0.1", listener.getsockname()[1], Recorder, taking)
        await until(lambda: taking.results, "the attempt's outcome")
        self.assertEqual(taking.results[0].osError, errno.EMFILE)
        attempt.cancel()

    async def test_listen(self) -> None:
        """Listening fails as it does for other reasons."""
        Scarce.shortage = errno.ENOSPC
        factory = Keeping()
        with self.assertRaises(CannotListenError):
            self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        await turns()
        self.assertEqual((factory.started, factory.stopped), (1, 1))

    async def test_accept(self) -> None:
        """What was accepted and cannot be watched is closed, and accepting pauses; the connections
        that there are go on."""
        protocol, remote = await self.accepted()
        (port,) = self._ports
        told: list[Any] = []
        self.patch(port, "_pause", counted(port._pause, told))
        lines: list[str] = []
        self.patch(ports, "log", SimpleNamespace(error=lambda text, **_: lines.append(text)))
        Scarce.shortage = errno.ENOSPC
        refused = self.call(port)
        self.assertEqual(await refused.end(), "end")
        self.assertEqual(told, [errno.ENOSPC])
        await remote.say(b"on")
        await until(lambda: protocol.received == b"on", "what was said")
        waiting = self.call(port)
        await until(lambda: len(told) > 1, "another attempt to accept")
        self.assertTrue(waiting.silent())
        self.patch(Scarce, "spared", port.fd)  # there is room for one
        self.assertEqual(await waiting.end(), "end")
        self.assertEqual(len(lines), 1)
        self.call(port)
        Scarce.shortage = 0
        made = port.factory.made
        await until(lambda: made[-1].made and not made[-1].lost, "the next is accepted")
        self._protocols += made[1:]
        self.assertIs(await self.lost(made[1]), OSError)

    async def test_resume(self) -> None:
        """A connection that reads on and cannot be watched any more ends, and no other."""
        protocol, remote = await self.accepted()
        protocol.wire.pauseProducing()
        Scarce.shortage = errno.ENOSPC
        protocol.wire.resumeProducing()
        self.assertFalse(protocol.lost)
        self.assertIs(await self.lost(protocol), OSError)
        self.assertEqual(await remote.end(), "end")
