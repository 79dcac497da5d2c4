"""How many TLS records one read of the hub's takes, and how many one call writes."""

from __future__ import annotations

import socket
from random import Random

from konnect.net.hub.reads import RECORD, RECORDS
from konnect.net.hub.tls_records import RUN
from konnect.net.tls import expect_short_records
from tests.functional.waiting import until
from tests.net.hub.peers import Recorder
from tests.net.hub.test_tls_streams import TlsCase

SAID = [bytes((65 + number,)) * 10 for number in range(RECORDS + 4)]
"""Messages, each in a record of its own."""


class ShortRecordsTests(TlsCase):
    """A peer that says much while nobody reads."""

    async def reads(self, *, expected: bool) -> list[bytes]:
        """What each read gives then."""
        protocol, remote = await self.secured()
        if expected:
            expect_short_records(protocol.wire)
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
        self.assertEqual(await self.reads(expected=False), SAID)

    async def test_expected(self) -> None:
        """Where short ones are expected, a read takes as many as ever."""
        most = SAID[:RECORDS]
        self.assertEqual(
            await self.reads(expected=True), [b"".join(most), b"".join(SAID[RECORDS:])]
        )


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
