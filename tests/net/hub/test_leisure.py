"""What a hub puts off: the order, the bounds, and that nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from konnect.net.hub import loop
from konnect.net.hub.leisure import AT_ONCE, CROWD, MOST
from konnect.net.hub.loop import Hub
from konnect.net.hub.turn_sizes import SOME, TURNS
from tests.net.hub.test_loop import FakeReactor, Stub


class LeisureTests(SynchronousTestCase):
    """One hub on a fake reactor and real sockets, as if many channels had been there."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.hub = Hub(self.reactor)
        self.hub.crowd = CROWD
        self.log: list[Any] = []
        self.stubs: list[Stub] = []
        self.addCleanup(lambda: [stub.close() for stub in self.stubs])  # type: ignore[func-returns-value]

    def stub(self, name: str, *events: Callable[[], Any]) -> Stub:
        """A channel that is ready once, and then does this."""
        stub = Stub(self.hub, self.log, name)
        self.stubs.append(stub)

        def once() -> None:
            stub.sock.recv(1)
            for event in events:
                event()

        stub.on_event = once
        return stub

    def late(self, name: str, *more: Callable[[], Any]) -> Callable[[], None]:
        """What is put off."""

        def call() -> None:
            self.log.append(name)
            for each in more:
                each()

        return call

    def put_off(self, *calls: Callable[[], Any]) -> Callable[[], None]:
        """An event that puts these off, as one may."""

        def event() -> None:
            for call in calls:
                self.assertTrue(self.hub.put_off(self.stubs[0], call))

        return event

    def test_who_waits_goes_first(self) -> None:
        """It is done when nothing else is ready, in its order, and before the hub sleeps."""
        second = self.stub("b")
        second.sock.recv(1)
        self.stub(
            "a", self.put_off(self.late("1"), self.late("2")), lambda: second.other.send(b"x")
        )
        self.hub.doRead()
        self.assertEqual(self.log, ["event a", "event b", "1", "2"])
        self.assertEqual(self.hub.waiting, [])

    def test_between_two_looks(self) -> None:
        """Some of it is done, and then who has become ready meanwhile goes first again."""
        second = self.stub("b")
        second.sock.recv(1)
        calls = [self.late(str(number)) for number in range(2 * AT_ONCE)]
        calls[0] = self.late("0", lambda: second.other.send(b"x"))
        self.stub("a", self.put_off(*calls))
        self.hub.doRead()
        names = [str(number) for number in range(2 * AT_ONCE)]
        self.assertEqual(self.log, ["event a", *names[:AT_ONCE], "event b", *names[AT_ONCE:]])

    def test_what_it_writes_leaves(self) -> None:
        """Who asks for a flush then has it, and what that puts off is done too."""
        first = self.stub("a")
        first.on_flush = self.put_off(self.late("2"))
        event = first.on_event
        first.on_event = lambda: (
            event(),
            self.put_off(self.late("1", lambda: self.hub.flush_later(first)))(),
        )
        self.hub.doRead()
        self.assertEqual(self.log, ["event a", "1", "flush a", "2"])

    def test_at_the_latest(self) -> None:
        """Whoever is always ready cannot keep it waiting for longer than the stock reactor."""
        self.patch(loop, "SHARE", 1000)
        self.hub.crowd = 2 * TURNS
        busy = Stub(self.hub, self.log, "a")
        self.stubs.append(busy)
        first = self.late("1", lambda: self.hub.flush_later(busy))

        def event() -> None:
            if "1" not in self.log and not self.hub.waiting:
                self.put_off(first)()

        busy.on_event = event
        busy.on_flush = self.put_off(self.late("2"))
        self.hub.doRead()
        self.assertEqual(self.log, ["event a"] * TURNS + ["1", "flush a", "2"])
        self.assertEqual(self.hub.waiting, [])

    def test_bounded(self) -> None:
        """When much of it waits, the next has to be done at once."""
        answers: list[bool] = []
        count = MOST + 1

        def event() -> None:
            answers.extend(self.hub.put_off(self.stubs[0], self.late("x")) for _ in range(count))

        self.stub("a", event)
        self.hub.doRead()
        self.assertEqual(answers, [True] * MOST + [False])
        self.assertEqual(self.log, ["event a"] + ["x"] * MOST)

    def test_outside_a_turn(self) -> None:
        """Nothing is put off that nobody would come to do."""
        stub = self.stub("a")
        self.assertFalse(self.hub.put_off(stub, self.late("1")))

    def test_few_channels(self) -> None:
        """Nor with a few channels: the hub has leisure anyhow."""
        answers = []
        self.hub.crowd = 0
        stub = self.stub("a", lambda: answers.append(self.hub.put_off(stub, self.late("1"))))
        self.hub.doRead()
        self.assertEqual((answers, self.log), ([False], ["event a"]))

    def test_crowd(self) -> None:
        """A turn with some channels makes a crowd, also for themselves; it is over after as many
        turns with fewer."""
        self.hub.crowd = 0
        answers: list[bool] = []
        for name in "abcd":
            stub = self.stub(name)
        self.assertEqual(len(self.stubs), SOME)
        event = stub.on_event

        def putting_off() -> None:
            event()
            answers.append(self.hub.put_off(stub, self.late("1")))

        stub.on_event = putting_off
        self.hub.doRead()
        self.assertEqual((answers, self.hub.crowd), ([True], CROWD))
        stub.on_event = event
        for _ in range(CROWD):
            self.assertGreater(self.hub.crowd, 0)
            stub.other.send(b"x")
            self.hub.doRead()
        self.assertEqual(self.hub.crowd, 0)

    def test_error(self) -> None:
        """A mistake ends the one channel whose it is; the others' are done."""
        self.stub("a", self.put_off(self.late("1", lambda: 1 / 0), self.late("2")))
        self.hub.doRead()
        self.assertEqual(self.log, ["event a", "1", "failed a: ZeroDivisionError", "2"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_the_last_channel_goes(self) -> None:
        """The hub ends with its last channel, also when that is closed so late."""
        stub = self.stub("a")
        event = stub.on_event
        stub.on_event = lambda: (event(), self.put_off(stub.close)())
        self.hub.doRead()
        self.assertEqual(self.hub.fileno(), -1)
