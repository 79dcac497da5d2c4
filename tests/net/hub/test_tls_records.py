"""How many TLS records one read of the hub's takes, and how many one call writes; and what reading
meets in the place of a record."""

from __future__ import annotations

import socket
from collections.abc import Callable
from random import Random
from typing import Any

from OpenSSL import SSL

from konnect.net.hub.loop import OUT, hub_of
from konnect.net.hub.reads import LINK_RECORDS, RECORD, RECORDS
from konnect.net.hub.tls_records import RUN
from konnect.net.tls import expect_many_tunnels, expect_short_records
from konnect.tunnel.pressure import WHOLE
from tests.functional.waiting import turns, until
from tests.net.hub.peers import HalfTlsRecorder, Recorder
from tests.net.hub.test_tls_streams import TlsCase

SAID = [bytes((65 + number,)) * 10 for number in range(RECORDS + 4)]
"""Messages, each in a record of its own."""


def joined(sizes: int) -> list[bytes]:
    """What reads of so many records take of them."""
    return [b"".join(SAID[at : at + sizes]) for at in range(0, len(SAID), sizes)]


class ShortRecordsTests(TlsCase):
    """A peer that says much while nobody reads."""

    async def reads(self, *expected: Callable[[Any], None]) -> list[bytes]:
        """What each read gives then."""
        protocol, remote = await self.secured()
        for expect in expected:
            expect(protocol.wire)
        remote.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got: list[bytes] = []
        protocol.dataReceived = got.append
        protocol.wire.pauseProducing()
        for message in SAID:
            await remote.say(message)
        protocol.wire.resumeProducing()
        await until(lambda: len(b"".join(got)) == len(b"".join(SAID)), "all of it")
        return got

    async def test_as_a_rule(self) -> None:
        """A short record ends a read: what comes behind it takes another turn."""
        self.assertEqual(await self.reads(), SAID)

    async def test_expected(self) -> None:
        """Where short ones are expected, a read takes as many as ever."""
        self.assertEqual(await self.reads(expect_short_records), joined(RECORDS))

    async def test_of_an_agents_link(self) -> None:
        """More of them, but while small messages pass and reads are small as others' are."""
        both = (expect_short_records, expect_many_tunnels)
        self.assertEqual(await self.reads(*both), joined(LINK_RECORDS))
        hub = hub_of(self.reactor)
        self.addCleanup(hub.limit_reads, WHOLE, self)
        hub.limit_reads(4 * RECORD, self)
        self.assertEqual(await self.reads(*both), joined(4))


class LargeWritesTests(TlsCase):
    """More than one record at a time."""

    async def test_calls(self) -> None:
        """Four full records are one call. A small piece is joined to the rest of its record, and no
        large one is copied for it."""
        protocol, remote = await self.secured()
        random = Random(1)
        pieces = [random.randbytes(size) for size in (26, 3 * RUN - 100, 5, RECORD, 9000, 70)]
        said = b"".join(pieces)
        sizes: list[int] = []
        ssl = protocol.wire.getHandle()
        write = ssl.write_records

        def counted(data: bytes | memoryview) -> int:
            sizes.append(write(data))
            return sizes[-1]

        ssl.write_records = counted
        protocol.wire.writeSequence(pieces)
        self.assertEqual(await remote.hear(len(said)), said)
        self.assertEqual(sizes, [RECORD, RUN, RUN, RUN, len(said) - 3 * RUN - RECORD])

    async def test_not_corked_afterwards(self) -> None:
        """The kernel keeps nothing back: neither behind the last record, nor when it is full."""
        protocol, remote = await self.secured()
        said = Random(2).randbytes(40 * 1024 * 1024)
        protocol.wire.write(said)
        await until(lambda: protocol.wire.unwritten < len(said), "the first bytes to leave")
        self.assertGreater(protocol.wire.unwritten, 0)
        self.assertFalse(self.corked(protocol))
        self.assertEqual(await remote.hear(len(said)), said)
        self.assertEqual(protocol.wire.unwritten, 0)
        self.assertFalse(self.corked(protocol))

    @staticmethod
    def corked(protocol: Recorder) -> int:
        """What the kernel says of the socket."""
        sock = protocol.wire.getHandle()
        return int(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK))


class InThePlaceOfARecordTests(TlsCase):
    """What a read meets that is none."""

    async def test_an_end_while_paused(self) -> None:
        """One that came in the same read as bytes which made the protocol pause is told when it
        reads on."""
        protocol, remote = await self.secured(HalfTlsRecorder)
        expect_short_records(protocol.wire)
        remote.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        protocol.wire.pauseProducing()
        await remote.say(b"last")
        remote._attempt(remote.sock.unwrap)

        def take(data: bytes) -> None:
            protocol.received += data
            protocol.wire.pauseProducing()

        protocol.dataReceived = take
        protocol.wire.resumeProducing()
        await until(lambda: protocol.received == b"last", "the last bytes")
        await turns()
        self.assertNotIn("readConnectionLost", protocol.calls)
        protocol.wire.resumeProducing()
        await until(lambda: "readConnectionLost" in protocol.calls, "the end of reading")

    async def test_a_read_that_has_to_write(self) -> None:
        """OpenSSL may have to answer first: then it is asked again when there is room for that."""
        protocol, remote = await self.secured()
        hub, handle = protocol.wire._hub, protocol.wire.getHandle()
        read, want = handle.read_records, hub.want
        masks: list[int] = []

        def has_to_write(most: int, short: int) -> tuple[bytes, SSL.Error]:
            handle.read_records = read
            return b"", SSL.WantWriteError()

        def noted(channel: Any, mask: int) -> Any:
            masks.append(mask)
            return want(channel, mask)

        handle.read_records = has_to_write
        self.patch(hub, "want", noted)
        await remote.say(b"question")
        await until(lambda: protocol.received == b"question", "what was said")
        self.assertTrue(any(mask & OUT for mask in masks))
