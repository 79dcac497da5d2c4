"""Both programs whose output cannot be written; test_cli has the konnect command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import konnect

RUNNERS = {
    "twistd": "from twisted.scripts.twistd import run; run()",
    "twist": "from twisted.application.twist._twist import Twist; Twist.main()",
}
ASKED = (("konnect-proxy", "--help"), ("konnect-agent", "--help"), ("konnect-agent", "--version"))


def ended(stdout: int, runner: str, *words: str) -> tuple[int, str]:
    """Exit code and stderr of a program whose output goes there."""
    code = f"import sys; sys.argv[0] = {runner!r}; {RUNNERS[runner]}"
    root = str(Path(konnect.__file__).parent.parent)
    # Buffered, as outside of tests: then it is only a flush that fails.
    environment = {**os.environ, "PYTHONPATH": root, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
        text=True,
    )
    return done.returncode, done.stderr


class LostOutputTests(SynchronousTestCase):
    """What was asked for cannot be shown."""

    def test_full_disk(self) -> None:
        """That is one line and exit code 1."""
        for runner in RUNNERS:
            for words in ASKED:
                with self.subTest(words=words), open("/dev/full", "wb") as full:
                    why = "the output cannot be written: No space left on device"
                    said = ended(full.fileno(), runner, *words)
                    self.assertEqual(said, (1, f"{runner} {words[0]}: {why}\n"))

    def test_a_reader_that_has_had_enough(self) -> None:
        """So it is where nobody reads any more, without the line."""
        for runner in RUNNERS:
            for words in ASKED:
                reader, writer = os.pipe()
                os.close(reader)
                try:
                    self.assertEqual(ended(writer, runner, *words), (1, ""), words)
                finally:
                    os.close(writer)
