"""Tests of konnect.app.log_stderr, on a real pipe and a real socket that nobody reads."""

from __future__ import annotations

import fcntl
import gc
import io
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.app import log_stderr
from konnect.app.log_stderr import INTERVAL, PAUSES, WAITING, StderrLines, lines_to
from konnect.app.nonblocking import PIECE
from tests.blocking import bound_waits


class Reactor(Clock):
    """A clock that calls from threads reach at once."""

    def callFromThread(self, call: Callable[..., None], *arguments: Any) -> None:
        call(*arguments)


class StderrCase(SynchronousTestCase):
    """A descriptor, its reader, and what was lost."""

    def setUp(self) -> None:
        """Begin with nothing lost; fail where a write blocks."""
        bound_waits(self)
        self.reactor = Reactor()
        self.counts: list[int] = []
        self.slept = 0

    def pipe(self) -> int:
        """A pipe of one page; `reader` is its other end."""
        self.reader, writer = os.pipe()
        for end in (self.reader, writer):
            self.addCleanup(os.close, end)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIECE)
        return writer

    def socket(self) -> int:
        """A socket; `reader` is the other one."""
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
        self.reader = pair[0].fileno()
        return pair[1].fileno()

    def lines(self, descriptor: int, sleep: Callable[[float], None] | None = None) -> StderrLines:
        """Lines to it, before the reactor runs."""

        def slept(seconds: float) -> None:
            self.slept += 1

        lines = StderrLines(
            descriptor, self.counts.append, "{} were lost\n".format, sleep=sleep or slept
        )
        self.addCleanup(lines.close)
        return lines

    def running(self, descriptor: int) -> StderrLines:
        """Lines to it, with the reactor running."""
        lines = self.lines(descriptor)
        lines.run(self.reactor)
        return lines

    def read(self) -> str:
        """All that can be read now."""
        os.set_blocking(self.reader, False)
        data = b""
        while True:
            try:
                data += os.read(self.reader, 65536)
            except BlockingIOError:
                return data.decode()

    def read_all(self) -> list[str]:
        """The lines that come when stderr is read again, and the timer has its turns."""
        text = self.read()
        for _ in range(1000):
            if not self.reactor.getDelayedCalls():
                return text.splitlines()
            self.reactor.advance(INTERVAL)
            text += self.read()
        raise AssertionError("it goes on and on")

    @property
    def lost(self) -> int:
        return sum(self.counts)


class RunningTests(StderrCase):
    """While the reactor runs."""

    def test_read(self) -> None:
        """What can be written is written at once, and no timer is set."""
        lines = self.running(self.pipe())
        lines.write("one\n")
        lines.write("two\n")
        self.assertEqual(self.read(), "one\ntwo\n")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_order(self) -> None:
        """Lines that wait come in their order, and then there is no timer any more."""
        for make in (self.pipe, self.socket):
            lines = self.running(make())
            written = [f"line {number}" for number in range(10_000)]
            for line in written:
                lines.write(line + "\n")
            self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
            self.assertEqual(self.read_all(), written)
            self.assertEqual(self.reactor.getDelayedCalls(), [])
            self.assertEqual(self.counts, [])

    def test_the_next_line(self) -> None:
        """What waits is written with the next line too, not only by the timer."""
        lines = self.running(self.pipe())
        for _ in range(5):
            lines.write("x" * 1999 + "\n")
        self.assertEqual(self.read().count("\n"), 2)
        lines.write("y\n")
        self.assertEqual(self.read().count("\n"), 2)

    def test_lost(self) -> None:
        """What is above the bound is lost and counted, and a line in its place tells of it."""
        for make in (self.pipe, self.socket):
            self.counts.clear()
            lines = self.running(make())
            written = [f"line {number} {'x' * 90}" for number in range(10_000)]
            for line in written:
                lines.write(line + "\n")
            lost = self.lost
            self.assertGreater(lost, 1000)
            self.assertLessEqual(len(lines._waiting), WAITING)
            self.assertGreater(len(lines._waiting), WAITING - 200)
            self.assertEqual(self.read_all(), [*written[:-lost], f"{lost} were lost"])
            self.assertEqual(self.reactor.getDelayedCalls(), [])
            lines.write("again\n")
            self.assertEqual(self.read(), "again\n")
            self.assertEqual(self.lost, lost)

    def test_slow_reader(self) -> None:
        """Who reads a little now and then is not told of each line that was lost, and misses
        nothing untold."""
        lines = self.running(self.pipe())
        got = ""
        for number in range(12_000):
            lines.write(f"line {number} {'x' * 90}\n")
            if number % 100 == 0:
                got += self.read()
        texts = got.splitlines() + self.read_all()
        told = [line for line in texts if line.endswith("were lost")]
        self.assertLess(len(told), 10)
        self.assertEqual(sum(int(line.split()[0]) for line in told), self.lost)
        self.assertEqual(len(texts) - len(told) + self.lost, 12_000)
        number = 0
        for line in texts:
            if line in told:
                number += int(line.split()[0])
            else:
                self.assertEqual(line.split()[:2], ["line", str(number)])
                number += 1

    def test_many_lines_at_once(self) -> None:
        """A text of many lines loses those at its end only; none is cut."""
        written = [f"line {number} {'x' * 90}" for number in range(4000)]
        lines = self.running(self.pipe())
        lines.write("\n".join(written) + "\n")
        self.assertGreater(self.lost, 0)
        self.assertEqual(self.read_all(), [*written[: -self.lost], f"{self.lost} were lost"])

    def test_long_line(self) -> None:
        """A line longer than a pipe takes at once stays in one piece; one that is longer than all
        that may wait is kept if it has begun."""
        lines = self.running(self.pipe())
        for size in (3 * PIECE, 2 * WAITING):
            lines.write("x" * size + "\n")
            lines.write("y\n")
            more = [] if size < WAITING else ["1 were lost"]
            self.assertEqual(self.read_all(), ["x" * size, *(more or ["y"])])

    def test_too_long(self) -> None:
        """A line that is longer than all that may wait and has not begun is lost."""
        lines = self.running(self.pipe())
        lines.write("x" * (PIECE - 1) + "\n")
        lines.write("y" * WAITING + "\n")
        self.assertEqual(self.read_all(), ["x" * (PIECE - 1), "1 were lost"])

    def test_whole_lines(self) -> None:
        """What is written at once ends with a line's end: others may write to the same pipe."""
        lines = self.running(self.pipe())
        for number in range(200):
            lines.write(f"{number} {'x' * 100}\n")
        self.assertTrue(self.read().endswith("\n"))
        self.reactor.advance(INTERVAL)
        self.assertTrue(self.read().endswith("\n"))

    def test_reader_is_gone(self) -> None:
        """Then lines are lost and counted, those that wait too, and nothing is tried again."""
        self.reader, writer = os.pipe()
        self.addCleanup(os.close, writer)
        lines = self.running(writer)
        for _ in range(30):
            lines.write("x" * 4000 + "\n")
        waiting = lines._waiting.count(b"\n")
        self.assertGreater(waiting, 0)
        os.close(self.reader)
        lines.write("two\nlines\n")
        self.assertEqual(self.lost, waiting + 2)
        self.reactor.advance(INTERVAL)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_characters(self) -> None:
        """A character that the encoding does not have is written as its number."""
        lines = self.running(self.pipe())
        lines.write("h\u00e9 \udc80\n")
        self.assertEqual(self.read(), "h\u00e9 \\udc80\n")

    def test_threads(self) -> None:
        """Lines of several threads stay whole, and none is forgotten."""
        lines = self.running(self.pipe())
        got: list[str] = []

        def write(name: str) -> None:
            for number in range(300):
                lines.write(f"{name} {number} {'x' * 50}\n")

        threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        got = self.read_all()
        for name in "abc":
            own = [line.split()[1] for line in got if line.startswith(name)]
            self.assertEqual(own, [str(number) for number in range(300)])
        self.assertEqual(len(got), 900)

    def test_logged_meanwhile(self) -> None:
        """What collecting garbage logs in the middle of a write neither waits nor is lost."""
        lines = self.running(self.pipe())
        write, said = lines._writer.write, iter(["meanwhile\n"])

        class Dies:
            def __init__(self) -> None:
                self.me = self

            def __del__(self) -> None:
                lines.write(next(said))

        def collects(data: bytes) -> int:
            gc.collect()
            return write(data)

        self.patch(lines._writer, "write", collects)
        Dies()
        lines.write("one\n")
        lines.write("two\n")
        self.assertEqual(self.read(), "one\nmeanwhile\ntwo\n")


class NoReactorTests(StderrCase):
    """Before the reactor runs, and after it has stopped."""

    def test_slow_reader(self) -> None:
        """A line waits for a reader that is slow."""
        got: list[str] = []
        lines = self.lines(self.pipe(), sleep=lambda _: got.append(self.read()))
        lines.write("x" * 20_000 + "\n")
        self.assertEqual("".join(got) + self.read(), "x" * 20_000 + "\n")

    def test_no_reader(self) -> None:
        """It does not wait for ever, and when it has waited, others do not; nothing is lost when
        the reactor runs then."""
        lines = self.lines(self.pipe())
        written = [f"{number} {'x' * 100}" for number in range(200)]
        for line in written:
            lines.write(line + "\n")
        self.assertEqual(self.slept, PAUSES)
        lines.run(self.reactor)
        self.assertEqual(self.read_all(), written)

    def test_stopped(self) -> None:
        """When the reactor has stopped there is no timer, and those that wait get another time."""
        lines = self.running(self.pipe())
        for number in range(200):
            lines.write(f"{number} {'x' * 100}\n")
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        self.assertEqual(self.slept, 0)
        lines.rest()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.slept, PAUSES)
        lines.write("the last\n")
        self.assertEqual(self.slept, PAUSES)
        self.read()
        lines.write("the very last\n")
        self.assertEqual(self.slept, PAUSES)

    def test_slow_reader_at_the_end(self) -> None:
        """The last lines of a program come to a reader that is slow."""
        got: list[str] = []
        lines = self.lines(self.pipe(), sleep=lambda _: got.append(self.read()))
        lines.run(self.reactor)
        written = [f"{number} {'x' * 100}" for number in range(200)]
        for line in written:
            lines.write(line + "\n")
        lines.close()
        self.assertEqual(("".join(got) + self.read()).splitlines(), written)

    def test_lost_before_the_end(self) -> None:
        """That lines were lost is told at the end as well."""
        got: list[str] = []
        lines = self.lines(self.pipe(), sleep=lambda _: got.append(self.read()))
        lines.run(self.reactor)
        for number in range(4000):
            lines.write(f"{number} {'x' * 100}\n")
        lines.rest()
        self.assertTrue(("".join(got) + self.read()).endswith(f"\n{self.lost} were lost\n"))


class LinesToTests(SynchronousTestCase):
    """Which way a stream is written."""

    def test_without_descriptor(self) -> None:
        """A stream of Python's own is given the text."""
        stream = io.StringIO()
        lines = lines_to(stream, self.fail, str)
        for step in (lambda: lines.run(Reactor()), lines.rest, lines.close):
            lines.write("here\n")
            step()
        self.assertEqual(stream.getvalue(), "here\n" * 3)

    def test_with_descriptor(self) -> None:
        """One with a descriptor is not waited for, and its encoding is kept to."""
        self.patch(log_stderr, "PAUSE", 0)
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        counts: list[int] = []
        with open(write_end, "w", encoding="latin-1") as stream:
            lines = lines_to(stream, counts.append, str)
            lines.write("h\u00e9 \u20ac\n")
            self.assertEqual(os.read(read_end, 100), b"h\xe9 \\u20ac\n")
            for _ in range(1000):
                lines.write("x" * 999 + "\n")
            lines.close()
        self.assertGreater(sum(counts), 0)
