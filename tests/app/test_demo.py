"""Tests of konnect.app.demo, demo_stage and demo_ways."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.threads import deferToThread
from twisted.python import usage
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

import konnect
from konnect.app import certs, demo
from konnect.app.demo import DemoOptions, drawing, result_line
from konnect.app.demo_stage import Ports, Stage, StageError
from konnect.app.demo_ways import Outcome, lines_to_paste, try_way, ways_of
from tests.functional.waiting import the_reactor
from tests.ports import free_ports

ROOT = Path(konnect.__file__).parent.parent
COMMAND = (sys.executable, "-m", "konnect.app.cli", "demo")


def free_base() -> int:
    """The first of the ports for one demo."""
    return free_ports(Ports.COUNT)


class OptionsTests(SynchronousTestCase):
    """The command line."""

    def parse(self, *words: str) -> DemoOptions:
        options = DemoOptions()
        options.parseOptions(list(words))
        return options

    def test_defaults(self) -> None:
        """It stays up, on the ports from 28090 on, without log lines."""
        options = self.parse()
        self.assertEqual((options["once"], options["port-base"]), (False, 28090))
        self.assertEqual(options["log"], False)

    def test_port_base(self) -> None:
        """The ports can be moved, to where there are eight."""
        self.assertEqual(self.parse("--port-base", "3000")["port-base"], 3000)
        self.assertEqual(self.parse("--port-base=65528")["port-base"], 65528)
        for wrong in ("65529", "1023", "-1"):
            self.assertRaises(usage.UsageError, self.parse, f"--port-base={wrong}")

    def test_bad_flag(self) -> None:
        """A bad flag is one line and exit code 1."""
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            self.assertEqual(demo.main(["--port-base=some"]), 1)
        self.assertEqual(stderr.getvalue().count("\n"), 1)


class TextTests(SynchronousTestCase):
    """What is printed."""

    def setUp(self) -> None:
        self.stage = Stage(None, Ports(28090))
        self.stage._folder = Path("/where it is/a demo")
        self.ways = ways_of(self.stage)

    def test_four_ways(self) -> None:
        """Each protocol over each carrier."""
        names = {(way.protocol, way.carrier) for way in self.ways}
        expected = {(one, two) for one in ("gRPC", "CONNECT") for two in ("mTLS", "unix")}
        self.assertEqual(names, expected)

    def test_drawing(self) -> None:
        """The drawing names every part and is plain ASCII of at most 82 columns."""
        text = drawing(self.ways, self.stage.ports)
        for word in ("client", "proxy", "agent", "destination", ":28090", "connect.sock"):
            self.assertIn(word, text)
        self.assertTrue(text.isascii())
        self.assertLessEqual(max(len(line) for line in text.splitlines()), 82)

    def test_result_lines(self) -> None:
        """A line has status, bytes and milliseconds, or what went wrong."""
        line = result_line(self.ways[0], Outcome(200, 168, 12.34))
        self.assertEqual(
            line.split(), ["gRPC", "over", "mTLS", "200", "168", "bytes", "12.3", "ms"]
        )
        line = result_line(self.ways[0], Outcome(problem="connection refused"))
        self.assertIn("failed: connection refused", line)

    def test_outcomes(self) -> None:
        """Only a whole page is good."""
        self.assertTrue(Outcome(200, 168, 1.0).good)
        for outcome in (Outcome(502, 168), Outcome(200, 0), Outcome(problem="x")):
            self.assertFalse(outcome.good)

    def test_lines_survive_a_shell(self) -> None:
        """Lines to paste are quoted, also where a path has a space in it."""
        for _, line in lines_to_paste(self.stage):
            for word in shlex.split(line):
                self.assertNotIn("demo/certs/frontend/issued/ca.crt ", word)
            self.assertNotIn("\n", line)
        curl = shlex.split(lines_to_paste(self.stage)[0][1])
        self.assertIn("/where it is/a demo/certs/frontend/issued/ca.crt", curl)


class StageTests(TestCase):
    """Everything in one process, on real sockets."""

    timeout = 60

    async def test_a_request_through_each_way(self) -> None:
        """The page comes by all four ways, wherever temporary files go; nothing is left."""
        temporary = tempfile.mkdtemp(prefix="a=b:c")
        self.addCleanup(os.rmdir, temporary)
        self.patch(tempfile, "tempdir", temporary)
        stage = Stage(the_reactor(), Ports(free_base()))
        await stage.build()
        folder = stage.folder
        try:
            for way in ways_of(stage):
                outcome = await try_way(the_reactor(), stage, way)
                self.assertTrue(outcome.good, (way, outcome))
        finally:
            await stage.strike()
        self.assertFalse(folder.exists())

    async def test_a_failed_request_is_told(self) -> None:
        """A way that leads nowhere is an outcome, not an exception."""
        stage = Stage(the_reactor(), Ports(free_base()))
        await stage.build()
        ways = ways_of(stage)
        destination = stage._destination
        assert destination is not None
        await maybeDeferred(destination.stopListening)
        try:
            outcome = await try_way(the_reactor(), stage, ways[0])
            self.assertIn("connection refused", outcome.problem)
        finally:
            await stage.strike()

    async def test_taken_port(self) -> None:
        """A taken port is named, with the flag that moves the ports; nothing is left."""
        base = free_base()
        with socket.socket() as other:
            other.bind(("127.0.0.1", base + 3))
            other.listen()
            stage = Stage(the_reactor(), Ports(base))
            problem: Any = await self.assertFailure(
                Deferred.fromCoroutine(stage.build()), StageError
            )
        self.assertIn(f"port {base + 3} is taken", str(problem))
        self.assertIn("--port-base", str(problem))
        await stage.strike()
        await stage.strike()

    async def test_no_room(self) -> None:
        """A folder that takes no files, or not enough, is one sentence; nothing is left."""

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "ca.key")

        temporary = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, temporary)
        self.patch(certs, "_write_side", full)
        for folder, why in (
            (f"{temporary}/nowhere", "No such file or directory"),
            (temporary, "No space left on device"),
        ):
            self.patch(tempfile, "tempdir", folder)
            stage = Stage(the_reactor(), Ports(free_base()))
            problem: Any = await self.assertFailure(
                Deferred.fromCoroutine(stage.build()), StageError
            )
            await stage.strike()
            self.assertEqual(
                str(problem),
                f"cannot write temporary files: {why}; $TMPDIR chooses the folder for them",
            )


class Process(ProcessProtocol):
    """A running demo."""

    def __init__(self) -> None:
        self.out = b""
        self.err = b""
        self.ended: Deferred[int] = Deferred()
        self.up: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.out += data
        if b"Ctrl-C" in self.out and not self.up.called:
            self.up.callback(None)

    def errReceived(self, data: bytes) -> None:
        self.err += data

    def processEnded(self, reason: Failure) -> None:
        code = 0 if reason.check(ProcessDone) else -1
        if isinstance(reason.value, ProcessTerminated) and reason.value.exitCode is not None:
            code = reason.value.exitCode
        self.ended.callback(code)


class CommandTests(TestCase):
    """The command itself, as a process."""

    timeout = 90

    def start(self, *words: str) -> tuple[Process, Any]:
        """Run the demo with a temporary folder of the test's own."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        # The path of a unix socket has to be short.
        short = Path("/tmp") / f"konnect-{os.getpid()}"
        with contextlib.suppress(FileExistsError):
            short.mkdir()
        self.addCleanup(shutil.rmtree, short, True)
        self.temporary = short
        environment = {**os.environ, "TMPDIR": str(short), "PYTHONPATH": str(ROOT)}
        process = Process()
        transport = the_reactor().spawnProcess(
            process, COMMAND[0], [*COMMAND, *words], environment, str(self.folder)
        )
        return process, transport

    async def test_once(self) -> None:
        """--once prints a line for each way, ends with 0 and leaves no folder."""
        process, _ = self.start("--once", f"--port-base={free_base()}")
        self.assertEqual(await process.ended, 0, process.err)
        lines = [line for line in process.out.splitlines() if b" 200 " in line]
        self.assertEqual(len(lines), 4, process.out)
        self.assertEqual(process.err, b"")
        self.assertEqual(list(self.temporary.iterdir()), [])

    async def test_taken_port(self) -> None:
        """A taken port is one line on stderr, without a traceback, and exit code 1."""
        base = free_base()
        with socket.socket() as other:
            other.bind(("127.0.0.1", base))
            other.listen()
            process, _ = self.start("--once", f"--port-base={base}")
            self.assertEqual(await process.ended, 1)
        self.assertIn(f"port {base} is taken".encode(), process.err)
        self.assertEqual(process.err.count(b"\n"), 1)
        self.assertEqual(list(self.temporary.iterdir()), [])

    async def test_stays_up_for_pasting(self) -> None:
        """Until SIGINT it serves: each line that it prints works as it stands."""
        process, transport = self.start(f"--port-base={free_base()}")
        await process.up
        printed = process.out.decode().splitlines()
        lines = [line for title, line in pairwise(printed) if title.startswith("# ")]
        self.assertGreaterEqual(len(lines), 9)
        for line in lines:
            if line.startswith("curl") and shutil.which("curl") is None:
                continue
            done = await deferToThread(_paste, line)
            self.assertEqual(done.returncode, 0, (line, done.stderr))
            self.assertTrue(done.stdout, line)
        transport.signalProcess(signal.SIGINT)
        self.assertEqual(await process.ended, 0, process.err)
        self.assertEqual(process.err, b"")
        self.assertEqual(list(self.temporary.iterdir()), [])


def _paste(line: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(line, shell=True, cwd="/", capture_output=True, timeout=30, check=False)
