"""How many TLS records one read of the hub's takes."""

from __future__ import annotations

import socket

from konnect.net.hub.loop import RECORDS
from konnect.net.tls import expect_short_records
from tests.functional.waiting import until
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
