"""The hub's turns: shares, order, newcomers, its beginning and its end."""

from __future__ import annotations

import gc
import os
import socket
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.hub import loop
from konnect.net.hub.loop import IN, OUT, Hub, hub_of
from konnect.net.hub.turn_sizes import TURNS


class FakeReactor(Clock):
    """A clock with a set of readers."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)


class Stub:
    """A channel over one end of a socket pair; the other end has something to read."""

    def __init__(self, hub: Hub, log: list[Any], name: str, mask: int = IN) -> None:
        self.sock, self.other = socket.socketpair()
        self.other.send(b"x")
        self.fd, self.mask = self.sock.fileno(), 0
        self._hub, self._log, self._name = hub, log, name
        self.on_event: Callable[[], Any] = lambda: None
        self.on_flush: Callable[[], Any] = lambda: None
        self.on_fail: Callable[[], Any] = self.close
        hub.add(self, mask)

    def handle(self, events: int) -> None:
        self._log.append(f"event {self._name}")
        self.on_event()

    def flush(self) -> None:
        self._log.append(f"flush {self._name}")
        self.on_flush()

    def failed(self, error: BaseException) -> None:
        self._log.append(f"failed {self._name}: {type(error).__name__}")
        self.on_fail()

    def close(self) -> None:
        if self.fd >= 0:
            self._hub.drop(self)
            self.sock.close()
            self.other.close()
            self.fd = -1


class HubTests(SynchronousTestCase):
    """One hub on a fake reactor and real sockets."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.hub = Hub(self.reactor)
        self.log: list[Any] = []
        self.stubs: list[Stub] = []
        self.addCleanup(lambda: [stub.close() for stub in self.stubs])  # type: ignore[func-returns-value]

    def stub(self, name: str, mask: int = IN) -> Stub:
        stub = Stub(self.hub, self.log, name, mask)
        self.stubs.append(stub)
        return stub

    def test_begins_and_ends(self) -> None:
        """The hub is a reader of the reactor from its first channel to its last, and no longer."""
        self.assertEqual((self.reactor.readers, self.hub.fileno()), ([], -1))
        first, second = self.stub("a"), self.stub("b")
        fd = self.hub.fileno()
        self.assertEqual(self.reactor.readers, [self.hub])
        first.close()
        self.assertEqual(self.reactor.readers, [self.hub])
        second.close()
        self.assertEqual((self.reactor.readers, self.hub.fileno()), ([], -1))
        self.assertRaises(OSError, os.fstat, fd)

    def test_ends_within_a_turn(self) -> None:
        """The last channel may go within its own turn."""
        stub = self.stub("a")
        stub.on_event = stub.close
        self.hub.doRead()
        self.assertEqual(self.reactor.readers, [])

    def test_turns_are_bounded(self) -> None:
        """A channel that is always ready has so many turns, and then the reactor goes on."""
        self.patch(loop, "SHARE", 1000)
        self.stub("a")
        self.hub.doRead()
        self.assertEqual(self.log, ["event a"] * TURNS)

    def test_time_is_bounded(self) -> None:
        """No further turn begins when the share is used up."""
        self.patch(loop, "SHARE", -1)
        self.stub("a")
        self.hub.doRead()
        self.assertEqual(self.log, ["event a"])

    def test_flush_at_the_end_of_the_turn(self) -> None:
        """Flushes come after all events of a turn, also those that flushes ask for."""
        self.patch(loop, "SHARE", -1)
        first, second = self.stub("a"), self.stub("b")
        first.on_event = second.on_event = lambda: self.hub.flush_later(first)
        first.on_flush = lambda: "flush b" not in self.log and self.hub.flush_later(second)  # type: ignore[func-returns-value]
        self.hub.doRead()
        self.assertEqual(sorted(self.log[:2]), ["event a", "event b"])
        self.assertEqual(self.log[2:], ["flush a", "flush a", "flush b", "flush b"])

    def test_channels_of_a_turn_are_bounded(self) -> None:
        """What some channels ask for is flushed before the next ones have their turn; they all
        have it in time."""
        self.patch(loop, "EVENTS", 2)
        self.patch(loop, "TURNS", 3)
        for name in "abcde":
            stub = self.stub(name)
            stub.on_event = partial(self.hub.flush_later, stub)
        self.hub.doRead()
        kinds = [entry.split()[0] for entry in self.log]
        self.assertEqual(kinds, ["event", "event", "flush", "flush"] * 3)
        self.assertEqual({entry[-1] for entry in self.log}, set("abcde"))

    def first_turn(self, *waves: str) -> str:
        """The names of those that are served in one turn, before anything is flushed. The first
        wave is ready when it begins, each other when the one before has been served."""
        stubs = [[self.stub(name) for name in wave] for wave in waves]
        for wave, following in zip(stubs, [*stubs[1:], []], strict=True):
            for stub in wave:
                stub.on_event = partial(self.serve, stub, [])
            wave[-1].on_event = partial(self.serve, wave[-1], following)
            for stub in following:
                stub.sock.recv(1)
        self.patch(loop, "SHARE", -1)
        self.hub.doRead()
        names = [entry[-1] for entry in self.log]
        flushed = next(n for n, entry in enumerate(self.log) if entry.startswith("flush"))
        self.assertEqual(sorted(names[flushed:]), sorted(names[:flushed]))
        return "".join(sorted(names[:flushed]))

    def serve(self, stub: Stub, others: list[Stub]) -> None:
        stub.sock.recv(1)
        self.hub.flush_later(stub)
        for other in others:
            other.other.send(b"x")

    def test_looks_for_more(self) -> None:
        """A turn of some looks twice whether others have become ready, before it flushes."""
        self.patch(loop, "BRIEF", 1000)
        self.assertEqual(self.first_turn("abcd", "ef", "g", "h"), "abcdefg")

    def test_looks_no_more(self) -> None:
        """A turn of few does not look for more, nor one that has taken long, nor one of many. (What
        a turn leaves is served by the next.)"""
        self.patch(loop, "BRIEF", 1000)
        self.assertEqual(self.first_turn("abc", "d"), "abc")
        self.log.clear()
        self.patch(loop, "BRIEF", -1)
        self.assertEqual(self.first_turn("efgh", "i"), "defgh")
        self.log.clear()
        self.patch(loop, "BRIEF", 1000)
        self.patch(loop, "ENOUGH", 6)
        self.assertEqual(self.first_turn("jklmn", "o"), "ijklmn")

    def test_newcomer_of_a_turn(self) -> None:
        """Who comes within a turn may be served in it, though another had the number before."""
        self.patch(loop, "BRIEF", 1000)
        self.patch(loop, "SHARE", -1)
        first = [self.stub(name) for name in "abcd"]

        def replace() -> None:
            number = first[0].fd
            first[0].close()
            first[3].sock.recv(1)
            self.assertEqual(self.stub("n").fd, number)

        first[3].on_event = replace
        self.hub.doRead()
        self.assertIn("event n", self.log)

    def test_flush_outside_a_turn(self) -> None:
        """What is asked for between turns is done soon, with one call for all."""
        stub = self.stub("a")
        self.hub.flush_later(stub)
        self.hub.flush_later(stub)
        self.assertEqual(self.log, [])
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        self.reactor.advance(0)
        self.assertEqual(self.log, ["flush a", "flush a"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_nothing_wanted(self) -> None:
        """A channel that waits for nothing hears nothing, not even a hang-up."""
        stub = self.stub("a", 0)
        stub.other.close()
        self.hub.doRead()
        self.assertEqual(self.log, [])
        self.hub.want(stub, OUT)
        self.hub.doRead()
        self.assertIn("event a", self.log)

    def test_number_used_again(self) -> None:
        """An event of a descriptor that was closed in this turn does not reach the newcomer that
        has its number."""
        self.patch(loop, "SHARE", -1)
        stubs = [self.stub("a"), self.stub("b")]
        newcomers: list[Stub] = []

        def replace(mine: Stub, other: Stub) -> None:
            if not newcomers:
                number = other.fd
                other.close()
                newcomers.append(self.stub("new"))
                self.assertEqual(newcomers[0].fd, number)

        stubs[0].on_event = lambda: replace(*stubs)
        stubs[1].on_event = lambda: replace(*reversed(stubs))
        self.hub.doRead()
        self.assertEqual(len(self.log), 1)
        self.log.clear()
        self.hub.doRead()
        self.assertIn("event new", self.log)

    def test_taking_over(self) -> None:
        """A channel can take the place of another with the same descriptor."""
        first = self.stub("a")
        second = Stub(self.hub, self.log, "b")
        self.stubs.append(second)
        self.hub.drop(second)
        second.sock.close()
        second.fd, second.sock = first.fd, first.sock
        self.hub.add(second, IN)
        self.patch(loop, "SHARE", -1)
        self.hub.doRead()
        self.assertEqual(self.log, ["event b"])
        first.fd = -1

    def test_errors_are_contained(self) -> None:
        """An exception in an event or a flush is logged once and fails that channel only."""
        self.patch(loop, "SHARE", -1)
        bad, worse, good = self.stub("a"), self.stub("b"), self.stub("c")
        bad.on_event = lambda: 1 // 0
        worse.on_event = lambda: self.hub.flush_later(worse)
        worse.on_flush = lambda: {}["x"]  # type: ignore[index]
        self.hub.doRead()
        self.assertIn("failed a: ZeroDivisionError", self.log)
        self.assertIn("failed b: KeyError", self.log)
        self.assertIn("event c", self.log)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertGreaterEqual(good.fd, 0)

    def test_emptied_reactor(self) -> None:
        """A hub that the reactor throws out lets go of everything."""
        stub = self.stub("a")
        self.hub.connectionLost(None)  # type: ignore[arg-type]
        self.assertEqual((stub.fd, self.hub.fileno()), (-1, -1))

    def test_emptied_reactor_and_a_mistake(self) -> None:
        """One channel's mistake keeps a hub that was thrown out from nothing: it begins anew."""
        bad, good = self.stub("a"), self.stub("b")
        bad.on_fail = lambda: 1 // 0
        self.hub.connectionLost(None)  # type: ignore[arg-type]
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((good.fd, self.hub.fileno()), (-1, -1))
        self.stub("c")
        self.assertGreaterEqual(self.hub.fileno(), 0)

    def test_emptied_reactor_and_a_flush(self) -> None:
        """Who empties the reactor cancels the flush too; later ones are done all the same."""
        stub = self.stub("a")
        self.hub.flush_later(stub)
        for call in self.reactor.getDelayedCalls():
            call.cancel()
        self.hub.flush_later(stub)
        self.reactor.advance(0)
        self.assertEqual(self.log, ["flush a", "flush a"])

    def test_one_for_each_reactor(self) -> None:
        """A reactor has one hub, which does not keep it in memory."""
        reactor = FakeReactor()
        self.assertIs(hub_of(reactor), hub_of(reactor))
        self.assertIsNot(hub_of(reactor), hub_of(self.reactor))
        gone = weakref.ref(reactor)
        del reactor
        gc.collect()
        self.assertEqual(gone(), None)
