"""Connections that are closed at once, since nothing can be lost by it."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone

from konnect.net.closing import unsent
from tests.functional.waiting import turns, until
from tests.net.hub.cases import TransportCase
from tests.net.hub.peers import HalfRecorder, Remote

PIECE = bytes(range(256)) * 64


class CloseSettledTests(TransportCase):
    """Over TCP."""

    async def closed(self, protocol: Any, remote: Remote) -> None:
        """It is closed as soon as the other kernel has acknowledged everything."""
        await until(protocol.wire.close_settled, "the connection is settled")
        self.assertIs(await self.lost(protocol), ConnectionDone)
        self.assertEqual(await remote.end(), "end")
        self.assertEqual(protocol.calls[-1], "connectionLost")
        self.assertFalse(protocol.wire.close_settled())

    async def test_settled(self) -> None:
        """The peer meets the end of the stream, and need not close for its own."""
        protocol, remote = await self.accepted(HalfRecorder)
        await remote.say(b"ask")
        await until(lambda: protocol.received == b"ask", "the question")
        protocol.wire.write_now(b"answer")
        self.assertEqual(await remote.hear(6), b"answer")
        await self.closed(protocol, remote)
        self.assertEqual(protocol.calls, ["connectionLost"])

    async def test_not_within_the_call(self) -> None:
        """The protocol is told when the turn ends."""
        protocol, _ = await self.accepted(HalfRecorder)
        self.assertTrue(protocol.wire.close_settled())
        self.assertEqual(protocol.calls, [])

    async def test_unread(self) -> None:
        """What has come is read first: the kernel would answer it with a reset."""
        protocol, remote = await self.accepted(HalfRecorder)
        protocol.wire.pauseProducing()
        await remote.say(b"more")
        self.assertFalse(protocol.wire.close_settled())
        protocol.wire.resumeProducing()
        await until(lambda: protocol.received == b"more", "what has come")
        await self.closed(protocol, remote)

    async def test_not_acknowledged(self) -> None:
        """What the kernel has and the other one has not is waited for."""
        protocol, remote = await self.accepted(HalfRecorder)
        wire, written = protocol.wire, 0
        while unsent(wire) <= len(PIECE):
            wire.write_now(PIECE)
            written += len(PIECE)
        self.assertFalse(wire.close_settled())
        await turns()
        self.assertEqual(protocol.calls, [])
        self.assertEqual(len(await remote.hear(written)), written)
        await self.closed(protocol, remote)

    async def test_not_written(self) -> None:
        """Nor is what has not even been given to the kernel forgotten."""
        protocol, remote = await self.accepted(HalfRecorder)
        protocol.wire.write(b"later")
        self.assertFalse(protocol.wire.close_settled())
        self.assertEqual(await remote.hear(5), b"later")
        await self.closed(protocol, remote)

    async def test_behind_a_half_close(self) -> None:
        """The sending direction may have ended before."""
        protocol, remote = await self.accepted(HalfRecorder)
        protocol.wire.loseWriteConnection()
        self.assertEqual(await remote.end(), "end")
        await self.closed(protocol, remote)
        self.assertEqual(protocol.calls, ["writeConnectionLost", "connectionLost"])
