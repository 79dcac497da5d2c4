"""Tests of .ci/run itself: what it runs is replaced by something short."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

RUN = Path(__file__).parents[2] / ".ci" / "run"

FAKE = """#!/usr/bin/env bash
shift
echo "ran: $*"
echo "$$" >>"$PIDS"
case "$*" in
$BAD) echo "this is bad"; exit 7 ;;
tests) sleep "$LONG"; echo "PASSED (skips=1, expectedFailures=1, successes=5)" ;;
esac
"""
"""In place of Python: is given `tools/venv.py COMMAND...` or `tools/skips.py SECTION LOG`."""

PATIENCE = 60.0
"""Seconds that a run may take."""


class ChecksTests(SynchronousTestCase):
    """Good, bad and stopped runs."""

    def setUp(self) -> None:
        """A folder for what stands in for Python, and for the run's own."""
        if not (RUN.exists() and (RUN.parents[1] / ".git").exists()):
            raise SkipTest("this is no checkout")
        folder = tempfile.TemporaryDirectory(prefix="konnect-test-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        fake = self.folder / "python"
        fake.write_text(FAKE)
        fake.chmod(0o755)
        self.pids = self.folder / "pids"
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()

    def start(self, bad: str = "none", long: str = "0") -> subprocess.Popen[str]:
        """A run in which the command `bad` fails and the tests take so long."""
        environ = {"PYTHON": str(self.folder / "python"), "PIDS": str(self.pids)}
        environ |= {"BAD": bad, "LONG": long, "TMPDIR": str(self.temporary)}
        run = subprocess.Popen(
            [RUN],
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(run.terminate)
        return run

    def end(self, run: subprocess.Popen[str]) -> tuple[int, list[str]]:
        """Its exit code and its lines; nothing is left of it."""
        said, _ = run.communicate(timeout=PATIENCE)
        self.assertEqual(list(self.temporary.iterdir()), [])
        for pid in map(int, self.pids.read_text().split()):
            self.assertFalse(Path(f"/proc/{pid}").exists(), f"{pid} is left")
        return run.returncode, said.splitlines()

    def test_good(self) -> None:
        """Each section's output stands whole between its heading and its end."""
        code, lines = self.end(self.start())
        self.assertEqual((code, lines[-1]), (0, "6 passed, 0 failed, 1 skipped"))
        headings = [number for number, line in enumerate(lines) if line.startswith("=== lint: in")]
        self.assertEqual(len(headings), 1)
        lint = lines[headings[0] :][:3]
        self.assertEqual(lint[1], "ran: tox -q -e lint")
        self.assertTrue(lint[2].startswith("=== lint: passed in"), lint)

    def test_bad(self) -> None:
        """The first section that fails ends the run with its code, and what else runs."""
        code, lines = self.end(self.start(bad="*types*", long="300"))
        self.assertEqual(code, 7)
        self.assertIn("this is bad", lines)
        self.assertIn("=== FAILED: types (exit code 7)", lines)
        self.assertNotIn("ran: tox -q -e wheel", lines)

    def test_skips(self) -> None:
        """A section fails whose skips are judged and found bad."""
        code, lines = self.end(self.start(bad="kubernetes*/kubernetes.log", long="300"))
        self.assertEqual(code, 7)
        self.assertIn("ran: tox -q -e kubernetes", lines)
        self.assertIn("=== FAILED: kubernetes (exit code 7)", lines)

    def test_stopped(self) -> None:
        """A run that is stopped says so, and ends what runs."""
        run = self.start(long="300")
        deadline = time.monotonic() + PATIENCE
        assert run.stdout is not None
        while "functional tests" not in (line := run.stdout.readline()):
            self.assertTrue(line and time.monotonic() < deadline, line)
        run.send_signal(signal.SIGTERM)
        code, lines = self.end(run)
        self.assertEqual(code, 143)
        self.assertIn("=== FAILED: in no section (exit code 143)", lines)
