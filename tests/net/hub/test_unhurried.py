"""Ends that transports put off: what is told then, and when nothing is put off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone

from konnect.net.hub.leisure import AT_ONCE
from konnect.net.hub.loop import OUT, hub_of
from tests.functional.waiting import turns, until
from tests.net.hub.cases import TransportCase
from tests.net.hub.peers import HalfRecorder, Recorder, Remote

PIECE = bytes(65536)


class UnhurriedCase(TransportCase):
    """The hub as if many channels were there; what it puts off is noted."""

    async def _begin(self) -> None:
        await super()._begin()
        self.hub_itself = hub = hub_of(self.reactor)
        self.addCleanup(setattr, hub, "crowd", hub.crowd)
        hub.crowd = 1 << 30
        self.noted: list[str] = []
        self.meanwhile: Callable[[], Any] = lambda: None
        put_off = hub.put_off

        def noting(channel: Any, call: Any) -> bool:
            self.noted.append(call.__name__)
            answer = put_off(channel, call)
            self.meanwhile()
            return answer

        self.patch(hub, "put_off", noting)


class UnixTests(UnhurriedCase):
    """On unix sockets."""

    unix = True

    async def gone(self, make: Callable[[], Any] = HalfRecorder) -> tuple[Any, Remote]:
        """A connection whose peer says something and is gone."""
        protocol, remote = await self.accepted(make)
        await remote.say(b"the last words")
        remote.close()
        return protocol, remote

    async def test_told(self) -> None:
        """All that came is delivered, then the end is told, once."""
        protocol, _ = await self.gone()
        await until(lambda: protocol.calls, "the end")
        await turns()
        self.assertEqual(protocol.received, b"the last words")
        self.assertEqual(protocol.calls, ["readConnectionLost"])
        self.assertTrue(protocol.wire.hung_up)
        self.assertEqual(self.noted, ["_end_read"])

    async def test_not_half_closeable(self) -> None:
        """For other protocols it is the connection's end."""
        protocol, _ = await self.gone(Recorder)
        self.assertIs(await self.lost(protocol), ConnectionDone)
        self.assertEqual(protocol.received, b"the last words")
        self.assertEqual(self.noted, ["_end_read"])

    def before_it(self, *calls: Callable[[], Any]) -> None:
        """Have these called right before what is put off next."""
        some = [(self._protocols[0].wire, call) for call in calls]

        def insert() -> None:
            self.hub_itself.waiting[:0] = some
            self.meanwhile = lambda: None

        self.meanwhile = insert

    async def test_not_asked_for_meanwhile(self) -> None:
        """The kernel would tell of it again in each turn."""
        protocol, _ = await self.gone()
        masks: list[int] = []
        self.before_it(lambda: masks.append(protocol.wire.mask))
        await until(lambda: protocol.calls, "the end")
        self.assertEqual(masks, [0])

    async def test_paused_meanwhile(self) -> None:
        """A transport that is paused meanwhile tells it when it is resumed."""
        protocol, remote = await self.accepted(HalfRecorder)
        self.meanwhile = protocol.wire.pauseProducing
        remote.close()
        await until(lambda: self.noted, "what is put off")
        await turns()
        self.assertEqual(protocol.calls, [])
        self.meanwhile = lambda: None
        protocol.wire.resumeProducing()
        await until(lambda: protocol.calls, "the end")
        self.assertEqual(protocol.calls, ["readConnectionLost"])

    async def test_resumed_meanwhile(self) -> None:
        """To be resumed, and so told of it again, does not tell it twice."""
        protocol, remote = await self.accepted(HalfRecorder)
        idle = [lambda: None] * (AT_ONCE - 1)
        self.before_it(protocol.wire.resumeProducing, *idle)
        remote.close()
        await until(lambda: protocol.calls, "the end")
        await turns()
        self.assertEqual(self.noted, ["_end_read"] * 2)
        self.assertEqual(protocol.calls, ["readConnectionLost"])

    async def test_aborted_meanwhile(self) -> None:
        """Nor is it told of a connection that has been dropped."""
        protocol, remote = await self.accepted(HalfRecorder)
        self.before_it(protocol.wire.abortConnection)
        remote.close()
        self.assertIs(await self.lost(protocol), ConnectionAborted)
        await turns()
        self.assertEqual(protocol.calls, ["connectionLost"])

    async def test_closed(self) -> None:
        """To close a connection whose peer is gone is put off too."""
        protocol, _ = await self.gone()
        await until(lambda: protocol.calls, "the end")
        # From within a turn, as a tunnel's end does it.
        self.hub_itself.in_turn = True
        protocol.wire.loseConnection()
        self.hub_itself.in_turn = False
        self.hub_itself.flush_later(protocol.wire)
        self.assertIs(await self.lost(protocol), ConnectionDone)
        self.assertEqual(self.noted, ["_end_read", "flush"])

    async def test_blocked(self) -> None:
        """One that waits for room, too, is told of the end at once, and hears of the room."""
        protocol, remote = await self.accepted(HalfRecorder)
        while not protocol.wire.mask & OUT:
            protocol.wire.write_now(PIECE)
        while not remote.silent():
            remote.sock.recv(len(PIECE))
        remote.close()
        await until(lambda: protocol.calls, "the end")
        self.assertEqual(self.noted, [])
        if not protocol.lost:
            protocol.wire.loseConnection()
        await self.lost(protocol)


class TcpTests(UnhurriedCase):
    """Over TCP."""

    async def test_not_told_later(self) -> None:
        """That both have finished does not say that the peer is gone."""
        protocol, remote = await self.accepted(HalfRecorder)
        protocol.wire.loseWriteConnection()
        self.assertEqual(await remote.end(), "end")
        remote.close()
        await until(lambda: "readConnectionLost" in protocol.calls, "the end")
        self.assertEqual(self.noted, [])

    async def test_closed_settled(self) -> None:
        """What is closed since nobody waits for it is closed later."""
        protocol, remote = await self.accepted(HalfRecorder)
        await until(protocol.wire.close_settled, "the connection is settled")
        self.assertIs(await self.lost(protocol), ConnectionDone)
        self.assertEqual(await remote.end(), "end")
        self.assertEqual(self.noted, ["flush"])
