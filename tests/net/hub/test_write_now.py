"""What is written without waiting for the turn's end, over plain sockets and TLS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.functional.waiting import turns, until
from tests.net.hub.cases import TransportCase
from tests.net.hub.peers import Counting, HalfRecorder, HalfTlsRecorder, Remote
from tests.net.hub.test_tls_streams import TlsCase

MEGABYTES = bytes(range(256)) * 4096 * 8


class Writes:
    """What both kinds of transport do; the classes below say where."""

    # What mypy is to know of the mixed-in case.
    assertEqual: Any
    assertTrue: Any
    assertIn: Any
    patch: Any

    async def pair(self) -> tuple[Any, Remote]:
        """A connection that our listener accepted."""
        raise NotImplementedError

    async def test_at_once(self) -> None:
        """The kernel has it before the call returns, as bytes and as a view."""
        protocol, remote = await self.pair()
        asked: list[Any] = []
        self.patch(protocol.wire._hub, "flush_later", asked.append)
        protocol.wire.write_now(b"one")
        protocol.wire.write_now(memoryview(b"-two-")[1:4])
        self.assertEqual((protocol.wire.unwritten, asked), (0, []))
        self.assertEqual(await remote.hear(6), b"onetwo")

    async def test_nothing(self) -> None:
        """Empty bytes are not sent."""
        protocol, remote = await self.pair()
        protocol.wire.write_now(b"")
        await turns()
        self.assertTrue(remote.silent())

    async def test_order(self) -> None:
        """It overtakes nothing: neither what is gathered nor what the kernel has refused."""
        protocol, remote = await self.pair()
        wire = protocol.wire
        wire.write(b"a")
        wire.write_now(b"b")
        wire.write(MEGABYTES)
        wire.write_now(b"c")
        wire.writeSequence([b"d", b"e"])
        wire.write_now(b"f")
        heard = await remote.hear(6 + len(MEGABYTES))
        self.assertEqual((heard[:2], heard[-4:]), (b"ab", b"cdef"))
        self.assertTrue(heard[2:-4] == MEGABYTES)

    async def test_more_than_the_kernel_takes(self) -> None:
        """The rest follows; a push producer is paused meanwhile, and resumed when all is sent."""
        protocol, remote = await self.pair()
        producer = Counting()
        protocol.wire.registerProducer(producer, True)
        protocol.wire.write_now(memoryview(MEGABYTES))
        self.assertEqual(producer.calls, ["pause"])
        self.assertTrue(await remote.hear(len(MEGABYTES)) == MEGABYTES)
        await until(lambda: producer.calls == ["pause", "resume"], "the producer is resumed")
        protocol.wire.unregisterProducer()

    async def test_a_full_kernel(self) -> None:
        """What the kernel takes nothing of waits with all that comes behind it."""
        protocol, remote = await self.pair()
        wire = protocol.wire
        while not wire.unwritten:
            wire.write_now(MEGABYTES[:4096])
        said = wire.unwritten
        for number in range(100):
            wire.write_now(b"%03d" % number)
        self.assertEqual(wire.unwritten, said + 300)
        last = b"".join(b"%03d" % number for number in range(100))
        heard = b""
        while not heard.endswith(last):
            heard = heard[-300:] + await remote.hear(4096 if wire.unwritten else 300)
        self.assertEqual(wire.unwritten, 0)

    async def test_behind_the_end(self) -> None:
        """Nothing is sent once the connection is closed."""
        await self.ended("loseConnection")

    async def test_behind_the_last_byte(self) -> None:
        """Nothing is sent once the sending side is closed."""
        await self.ended("loseWriteConnection")

    async def ended(self, call: str) -> None:
        """Close, write, and look how the stream ends."""
        protocol, remote = await self.pair()
        getattr(protocol.wire, call)()
        await turns()
        protocol.wire.write_now(b"late")
        self.assertEqual(await remote.end(), "end")

    async def test_broken(self) -> None:
        """A broken connection does not raise: it is told when the turn ends, once."""
        protocol, remote = await self.pair()
        protocol.wire.pauseProducing()
        remote.reset()
        for _ in range(20):
            protocol.wire.write_now(MEGABYTES[:4096])
        self.assertEqual(protocol.calls.count("connectionLost"), 0)
        await until(lambda: protocol.lost, "the end")


class PlainTests(Writes, TransportCase):
    """Over TCP."""

    make: Callable[[], Any] = HalfRecorder

    async def pair(self) -> tuple[Any, Remote]:
        return await self.accepted(self.make)

    async def test_before_the_end(self) -> None:
        """What is written while the close waits for its turn is still sent, as by `write`."""
        protocol, remote = await self.pair()
        protocol.wire.loseConnection()
        protocol.wire.write_now(b"last")
        self.assertEqual(await remote.hear(4), b"last")


class UnixTests(PlainTests):
    """Over a unix socket."""

    unix = True


class TlsTests(Writes, TlsCase):
    """Over TLS."""

    async def pair(self) -> tuple[Any, Remote]:
        return await self.secured(HalfTlsRecorder)

    async def test_before_the_handshake(self) -> None:
        """It waits for the handshake to be over."""
        protocol, remote = await self.accepted(HalfTlsRecorder)
        protocol.wire.write_now(b"early")
        self.assertEqual(protocol.wire.unwritten, 5)
        self.assertTrue(remote.silent())
