"""Tests of konnect.app.log_output."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import Logger, LogPublisher, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from konnect.app import log_stderr
from konnect.app.klog import LogConfig
from konnect.app.log_format import event_format
from konnect.app.log_output import LogOutput, make_output
from tests.blocking import bound_waits

TWISTD: dict[str, Any] = {"nodaemon": True, "logfile": None, "syslog": 0, "logger": None}


class Files:
    """Files that remember, or that fail."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.full = False
        self.closed = False

    def write(self, severity: int, text: str) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.lines.append((severity, text))

    def close(self) -> None:
        self.closed = True


class LogOutputTests(SynchronousTestCase):
    """What becomes of an event."""

    def setUp(self) -> None:
        """Make a place for each way."""
        self.stderr = io.StringIO()
        self.files = Files()
        self.lost = {"stderr": 0, "files": 0}

    def logger(self, files: Files | None = None, **settings: Any) -> Logger:
        """A logger whose lines go through the observer."""
        output = LogOutput(LogConfig(**settings), self.stderr, files, lost=self.lost)
        return Logger("here", observer=LogPublisher(output))

    def test_header(self) -> None:
        """A line has time, module and level in front, in Twisted's form."""
        self.logger().info("{n} links", n=2)
        self.assertRegex(self.stderr.getvalue(), r"^[0-9T:+-]+ \[here#info\] 2 links\n$")

    def test_without_header(self) -> None:
        """--skip-headers leaves the text alone; its further lines are still indented."""
        self.logger(skip_headers=True).info("one\ntwo")
        self.assertEqual(self.stderr.getvalue(), "one\n\ttwo\n")

    def test_names_for_a_terminal(self) -> None:
        """What a peer has sent does nothing to the terminal that shows a line of it."""
        for skip_headers in (False, True):
            self.logger(skip_headers=skip_headers).warn("{name}", name="\x1b[2J\rh\u00e9\x9b1m\x7f")
            self.assertTrue(self.stderr.getvalue().endswith("\\x1b[2J\\x0dh\u00e9\\x9b1m\\x7f\n"))

    def test_severities(self) -> None:
        """stderr gets the severities from its threshold on, files get all of them."""
        logger = self.logger(self.files, skip_headers=True, stderr_from=2)
        for level in ("debug", "info", "warn", "error", "critical"):
            getattr(logger, level)(level)
        self.assertEqual(self.stderr.getvalue(), "error\ncritical\n")
        self.assertEqual(
            self.files.lines,
            [(0, "debug\n"), (0, "info\n"), (1, "warn\n"), (2, "error\n"), (3, "critical\n")],
        )

    def test_full_disk(self) -> None:
        """Lines that cannot be written are lost and counted, which stderr is told once for each
        time."""
        logger = self.logger(self.files, stderr_from=4)
        self.files.full = True
        logger.info("lost")
        logger.info("lost")
        self.assertEqual(self.stderr.getvalue().count("No space left on device"), 1)
        self.files.full = False
        logger.info("written")
        self.files.full = True
        logger.info("lost")
        self.assertEqual(self.stderr.getvalue().count("No space left on device"), 2)
        self.assertEqual(len(self.files.lines), 1)
        self.assertEqual(self.lost, {"stderr": 0, "files": 3})

    def test_stderr_is_gone(self) -> None:
        """A closed stderr does not keep lines from the files."""

        def gone(text: str) -> int:
            raise BrokenPipeError

        self.stderr.write = gone  # type: ignore[method-assign]
        self.logger(self.files).info("here")
        self.assertEqual(len(self.files.lines), 1)
        self.assertEqual(self.lost, {"stderr": 1, "files": 0})

    def test_backtrace(self) -> None:
        """The statement that is asked for is logged with the way to it, others are not."""
        line = sys._getframe().f_lineno + 4
        logger = self.logger(skip_headers=True, backtrace_at=("test_log_output.py", line))
        logger.info("elsewhere")
        self.assertEqual(self.stderr.getvalue(), "elsewhere\n")
        logger.info("here")
        self.assertIn('here\n\t  File "', self.stderr.getvalue())
        self.assertIn(f"line {line}, in test_backtrace", self.stderr.getvalue())

    def test_nothing_to_say(self) -> None:
        """An event without text makes no line."""
        LogOutput(LogConfig(), self.stderr, None)({"log_format": ""})
        self.assertEqual(self.stderr.getvalue(), "")


class Reactor(Clock):
    """One that has not begun to run."""

    def __init__(self) -> None:
        super().__init__()
        self.run = self.stop = self.fail

    def fail(self) -> None:
        raise AssertionError("nobody wants to know")

    def callWhenRunning(self, call: Callable[..., None], *arguments: Any) -> None:
        self.run = partial(call, *arguments)

    def addSystemEventTrigger(self, phase: str, event: str, call: Callable[[], None]) -> None:
        assert (phase, event) == ("after", "shutdown")
        self.stop = call

    def callFromThread(self, call: Callable[[], None]) -> None:
        call()


class UnreadTests(SynchronousTestCase):
    """An stderr that nobody reads."""

    def setUp(self) -> None:
        """Make a pipe."""
        bound_waits(self)
        self.patch(log_stderr, "PAUSE", 0)
        self.reader, writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        os.set_blocking(self.reader, False)
        self.stderr = open(writer, "w")  # noqa: SIM115
        self.addCleanup(self.stderr.close)
        self.lost = {"stderr": 0, "files": 0}
        self.reactor = Reactor()

    def fill(self, **settings: Any) -> list[str]:
        """All lines that are read at the end, when lines were lost before."""
        config = LogConfig(**settings)
        output = LogOutput(config, self.stderr, None, event_format(config), self.lost)
        self.addCleanup(output.close)
        output.follow(self.reactor)
        self.reactor.run()
        logger = Logger("here", observer=LogPublisher(output))
        for _ in range(5000):
            logger.error("x" * 100)
        self.assertGreater(self.lost["stderr"], 0)
        text = b""
        while self.reactor.getDelayedCalls():
            text += os.read(self.reader, 1_000_000)
            self.reactor.advance(1)
        self.reactor.stop()
        text += os.read(self.reader, 1_000_000)
        return text.decode().splitlines()

    def test_text(self) -> None:
        """What was lost is told in the form of the other lines, whatever their threshold."""
        *others, last = self.fill(stderr_from=2)
        self.assertEqual(len(others) + self.lost["stderr"], 5000)
        told = f"#warn] {self.lost['stderr']} log lines were lost: nobody read stderr"
        self.assertTrue(last.endswith(told), last)

    def test_json(self) -> None:
        """As an object too."""
        last = json.loads(self.fill(format="json")[-1])
        self.assertEqual(
            last["message"], f"{self.lost['stderr']} log lines were lost: nobody read stderr"
        )
        self.assertEqual(last["level"], "warn")


class MakeOutputTests(SynchronousTestCase):
    """Whose observer is used."""

    def setUp(self) -> None:
        """Name a log file, catch stderr, and see what is added to Twisted's publisher."""
        self.path = Path(self.mktemp())
        self.files = LogConfig(to_files=True, file=str(self.path), skip_log_headers=True)
        self.stderr = io.StringIO()
        self.patch(sys, "stderr", self.stderr)
        self.added: list[Any] = []
        self.patch(globalLogPublisher, "addObserver", self.added.append)

    def test_twistd(self) -> None:
        """In the foreground, konnect's observer takes the place of twistd's."""
        output = make_output(LogConfig(), "prog", TWISTD)
        assert output is not None
        output({"log_format": "here"})
        self.assertIn("here", self.stderr.getvalue())
        self.assertEqual(self.added, [])

    def test_twistd_with_its_own_options(self) -> None:
        """Where twistd was told where to log, it does; files that are asked for come besides."""
        given: dict[str, Any]
        for given in ({"logfile": "-"}, {"syslog": 1}, {"logger": "a.b"}, {"nodaemon": False}):
            host = TWISTD | given
            self.assertIsNone(make_output(LogConfig(), "prog", host), given)
        hosts: tuple[dict[str, Any] | None, ...] = (
            TWISTD | {"logfile": "-"},
            {"logFile": sys.stdout},
            None,
        )
        for each in hosts:
            self.assertIsNone(make_output(self.files, "prog", each))
            output = self.added.pop()
            output({"log_format": "here"})
            output.close()
            self.assertIn("here", self.path.read_text())
            self.path.unlink()

    def test_daemon_with_files(self) -> None:
        """In the background, files that are asked for take the place of twistd.log."""
        output = make_output(self.files, "prog", TWISTD | {"nodaemon": False})
        assert output is not None
        output.close()
