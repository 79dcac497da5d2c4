"""Both programs whose output cannot be written; test_cli has the konnect command."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.app.unwritten import ended

RUNNERS = {
    "twistd": "from twisted.scripts.twistd import run; run()",
    "twist": "from twisted.application.twist._twist import Twist; Twist.main()",
}
ASKED = (("konnect-proxy", "--help"), ("konnect-agent", "--help"), ("konnect-agent", "--version"))


def run(stdout: int, runner: str, *words: str) -> tuple[int, str]:
    """Exit code and stderr of a program whose output goes there."""
    code = f"import sys; sys.argv[0] = {runner!r}; {RUNNERS[runner]}"
    return ended(stdout, code, *words)


class LostOutputTests(SynchronousTestCase):
    """What was asked for cannot be shown."""

    def test_full_disk(self) -> None:
        """That is one line and exit code 1."""
        for runner in RUNNERS:
            for words in ASKED:
                with self.subTest(words=words), open("/dev/full", "wb") as full:
                    why = "the output cannot be written: No space left on device"
                    said = run(full.fileno(), runner, *words)
                    self.assertEqual(said, (1, f"{runner} {words[0]}: {why}\n"))

    def test_a_reader_that_has_had_enough(self) -> None:
        """So it is where nobody reads any more, without the line."""
        for runner in RUNNERS:
            for words in ASKED:
                reader, writer = os.pipe()
                os.close(reader)
                try:
                    self.assertEqual(run(writer, runner, *words), (1, ""), words)
                finally:
                    os.close(writer)
