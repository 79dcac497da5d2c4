"""Tests of konnect.app.log_writing: a disk that hangs holds nobody up."""

from __future__ import annotations

import threading
import time
from typing import Any

from twisted.logger import Logger, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from konnect.app import log_writing
from konnect.app.klog import LogConfig
from konnect.app.log_output import LogOutput
from konnect.app.log_writing import FileLines

PATIENCE = 20.0
"""Bound of every wait for a thread, in seconds."""


class Disk:
    """Files on a disk that takes lines only when it is told to."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.begun = threading.Event()
        self.works = threading.Event()
        self.works.set()
        self.full = self.closed = False

    def write(self, severity: int, text: str) -> None:
        self.begun.set()
        assert self.works.wait(PATIENCE)
        if self.full:
            raise OSError(28, "No space left on device")
        self.lines.append((severity, text))

    def hang(self) -> None:
        """From now on a write does not come back."""
        self.begun.clear()
        self.works.clear()

    def close(self) -> None:
        self.closed = True


class FileLinesTests(SynchronousTestCase):
    """`FileLines`."""

    def setUp(self) -> None:
        self.patch(log_writing, "WAITING", 20)
        self.disk = Disk()
        self.lost: list[tuple[int, str]] = []
        self.lines = FileLines(
            self.disk,
            lambda lines, why: self.lost.append((lines, why)),
            lambda: None,
            lambda lines: f"{lines} lost\n",
        )

    def tearDown(self) -> None:
        self.disk.works.set()
        thread = self.lines._thread
        self.lines.close()
        if thread is not None:
            thread.join(PATIENCE)
            self.assertFalse(thread.is_alive())

    def written(self) -> str:
        """What the disk has."""
        return "".join(text for _, text in self.disk.lines)

    def hang(self) -> None:
        """The thread hangs with a line."""
        self.lines.run()
        self.disk.hang()
        self.lines.write(0, "first\n")
        self.assertTrue(self.disk.begun.wait(PATIENCE))

    def test_at_once(self) -> None:
        """Where no reactor runs, a line is written before anything else happens."""
        self.lines.write(1, "a\n")
        self.lines.run()
        self.lines.rest()
        self.lines.write(2, "b\n")
        self.assertEqual(self.disk.lines, [(1, "a\n"), (2, "b\n")])

    def test_in_order(self) -> None:
        """While it runs, a thread writes; what waits at the end is written then."""
        self.lines.run()
        for number in range(3):
            self.lines.write(number, f"{number}\n")
        self.lines.rest()
        self.assertEqual(self.disk.lines, [(0, "0\n"), (1, "1\n"), (2, "2\n")])
        self.assertEqual(self.lost, [])

    def test_hangs(self) -> None:
        """While the disk hangs nobody waits; what is too much is lost, and missed where it was."""
        self.hang()
        for text in ("second\n", "third\n", "fourth\n", "x\n", "two\nlines\n"):
            self.lines.write(2 if text == "x\n" else 0, text)
        self.assertEqual(self.lost, [(1, "the disk does not take them"), (1, ""), (2, "")])
        self.disk.works.set()
        self.lines.rest()
        self.assertEqual(self.written(), "first\nsecond\nthird\n4 lost\n")
        self.assertEqual(self.disk.lines[-1][0], 2)

    def test_works_again(self) -> None:
        """What comes when the disk works again stands behind what tells of the loss."""
        self.hang()
        self.lines.write(0, "too long for what there is\n")
        self.disk.works.set()
        for _ in range(int(PATIENCE * 100)):
            if not self.lines._waiting:
                break
            time.sleep(0.01)
        self.lines.write(0, "next\n")
        self.lines.rest()
        self.assertEqual(self.written(), "first\n1 lost\nnext\n")

    def test_hangs_at_the_end(self) -> None:
        """An end does not wait for it for long, and nothing waits after that."""
        self.patch(log_writing, "END_WITHIN", 0.01)
        self.hang()
        self.lines.rest()
        self.lines.write(0, "late\n")
        self.assertEqual(sum(lines for lines, _ in self.lost), 1)
        self.lines.close()
        self.assertFalse(self.disk.closed)

    def test_full(self) -> None:
        """A disk that is full is said to be, from either thread."""
        self.disk.full = True
        self.lines.write(0, "a\n")
        self.lines.run()
        self.lines.write(0, "b\nc\n")
        self.lines.rest()
        why = "[Errno 28] No space left on device"
        self.assertEqual(self.lost, [(1, why), (2, why)])


class OutputTests(SynchronousTestCase):
    """`LogOutput` with such files."""

    def test_follows(self) -> None:
        """The thread lives from the reactor's start to its end."""
        calls: dict[str, Any] = {}

        class Reactor:
            def callWhenRunning(self, call: Any, *args: Any) -> None:
                calls["start"] = call

            def addSystemEventTrigger(self, phase: str, event: str, call: Any) -> None:
                calls[f"{phase} {event}"] = call

        self.patch(log_writing, "WAITING", 200)
        disk = Disk()
        lost = {"stderr": 0, "files": 0}
        output = LogOutput(LogConfig(skip_headers=True), None, disk, lost=lost)
        output.follow(Reactor())
        logger = Logger("here", observer=LogPublisher(output))
        calls["start"]()
        disk.hang()
        for number in range(100):
            logger.info("line {number}", number=number)
        self.assertGreater(lost["files"], 50)
        disk.works.set()
        calls["after shutdown"]()
        text = f"{lost['files']} log lines were lost: the disk did not take them in time\n"
        self.assertEqual(disk.lines[-1], (1, text))
        self.assertEqual(len(disk.lines) - 1 + lost["files"], 100)
        output.close()
        self.assertTrue(disk.closed)
