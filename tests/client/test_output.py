"""Tests of konnect.client.output."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from konnect.client.output import CHUNK, Output


def call(what: Callable[[], object]) -> None:
    """Guards against nothing."""
    what()


@implementer(IPushProducer)
class Push:
    """Counts what it is told; `on_resume` may write."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


@implementer(IPullProducer)
class Pull:
    """Writes one piece each time it is asked, `count` times."""

    def __init__(self, output: Output, count: int) -> None:
        self._output = output
        self.left = count
        self.stopped = False

    def resumeProducing(self) -> None:
        self.left -= 1
        self._output.write(b"%d " % self.left)
        if not self.left:
            self._output.unregister()

    def stopProducing(self) -> None:
        self.stopped = True


class OutputTests(SynchronousTestCase):
    """A stream that takes `room` packets, then no more."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.room = 1000
        self.sent: list[bytes] = []
        self.output = Output(self.send, self.clock, call)

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def send(self, chunk: bytes) -> bool:
        """What the stream does with a packet."""
        self.sent.append(chunk)
        self.room -= 1
        return self.room > 0

    def test_what_there_is_no_room_for_waits(self) -> None:
        """Packets are sent while there is room; the rest follows, in order, when there is again."""
        self.room = 2
        payload = b"a" * CHUNK + b"b" * CHUNK + b"c" * CHUNK + b"d"
        self.output.write(payload)
        self.output.write(b"e")
        self.assertEqual([piece[:1] for piece in self.sent], [b"a", b"b"])
        self.assertFalse(self.output.idle)
        self.room = 1000
        self.output.room()
        self.assertEqual(b"".join(self.sent), payload + b"e")
        self.assertTrue(self.output.idle)

    def test_room_for_a_part(self) -> None:
        """When the room ends again, what is left waits again."""
        self.room = 1
        self.output.write(b"x" * (3 * CHUNK))
        self.room = 1
        self.output.room()
        self.assertEqual(len(self.sent), 2)
        self.assertFalse(self.output.idle)

    def test_a_write_from_within_send_queues_behind(self) -> None:
        """A write that comes while a packet is handed over does not overtake the rest."""
        pieces: list[bytes] = []
        inner = [b"inner"]

        def send(chunk: bytes) -> bool:
            pieces.append(chunk[:1])
            if inner:
                output.write(inner.pop())
            return True

        output = Output(send, self.clock, call)
        output.write(b"1" * CHUNK + b"2" * CHUNK)
        self.assertEqual(pieces, [b"1", b"2", b"i"])

    def test_push_producer(self) -> None:
        """A push producer is paused once when the room ends and resumed when it is back."""
        producer = Push()
        self.output.register(producer, True)
        self.room = 1
        self.output.write(b"x")
        self.output.write(b"y")
        self.assertEqual(producer.calls, ["pause"])
        self.room = 1000
        self.output.room()
        self.assertEqual(producer.calls, ["pause", "resume"])

    def test_push_producer_registered_without_room(self) -> None:
        """A push producer that comes while there is no room is paused at once."""
        self.room = 1
        self.output.write(b"x")
        producer = Push()
        self.output.register(producer, True)
        self.assertEqual(producer.calls, ["pause"])

    def test_push_producer_stays_paused_while_the_room_is_not_enough(self) -> None:
        """Room for a part of what waits does not resume the producer."""
        producer = Push()
        self.output.register(producer, True)
        self.room = 1
        self.output.write(b"x" * (3 * CHUNK))
        self.room = 1
        self.output.room()
        self.assertEqual(producer.calls, ["pause"])

    def test_pull_producer(self) -> None:
        """A pull producer is asked once a turn until it unregisters."""
        producer = Pull(self.output, 3)
        self.output.register(producer, False)
        self.assertEqual(self.sent, [])
        for _ in range(5):
            self.clock.advance(0)
        self.assertEqual(b"".join(self.sent), b"2 1 0 ")

    def test_pull_producer_without_room(self) -> None:
        """A pull producer is not asked while there is no room."""
        self.room = 2
        producer = Pull(self.output, 4)
        self.output.register(producer, False)
        for _ in range(5):
            self.clock.advance(0)
        self.assertEqual(producer.left, 2)
        self.assertFalse(self.output.idle)
        self.room = 1000
        self.output.room()
        for _ in range(5):
            self.clock.advance(0)
        self.assertEqual(producer.left, 0)
        self.assertTrue(self.output.idle)

    def test_one_producer_at_a_time(self) -> None:
        """A second producer is an error, as on Twisted's transports."""
        self.output.register(Push(), True)
        self.assertRaises(RuntimeError, self.output.register, Push(), True)
        self.output.unregister()
        self.output.register(Push(), True)

    def test_stop(self) -> None:
        """When the transport is gone, what waits is dropped and the producer told."""
        pull = Pull(self.output, 9)
        self.output.register(pull, False)
        self.output.stop()
        self.assertTrue(pull.stopped)
        self.output.stop()

    def test_idle_waits_for_who_is_due(self) -> None:
        """A pull producer and a paused push producer are still due to write; a running one not."""
        pull = Pull(self.output, 9)
        self.output.register(pull, False)
        self.assertFalse(self.output.idle)
        self.output.unregister()
        push = Push()
        self.output.register(push, True)
        self.assertTrue(self.output.idle)
        self.room = 1
        self.output.write(b"x")
        self.assertFalse(self.output.idle)
