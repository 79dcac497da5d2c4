"""A storm that finds something says how to repeat it, and repeated so finds it again."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

FAULTY = """
import sys
from tests.functional.storm import Storm

async def run(self):
    self.story.disaster("the one that led there")
    self._found(f"fault {self._chance.random()}")

Storm.run = run
"""
"""A fault that depends on the seed's choices in place of a storm."""

SOAK = "from tests.soak.__main__ import main; sys.exit(main())"
TRIAL = "from twisted.scripts.trial import run; run()"


class ReplayTests(SynchronousTestCase):
    """The commands, as processes of their own."""

    def run_faulty(self, code: str, *arguments: str, **environ: str) -> str:
        """What a run prints that finds something."""
        done = subprocess.run(
            [sys.executable, "-c", FAULTY + code, *arguments],
            capture_output=True,
            text=True,
            timeout=100,
            env={**os.environ, **environ},
        )
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("s  the one that led there", done.stdout)
        return done.stdout

    def fault(self, text: str) -> str:
        """The choice at which it failed."""
        found = re.search(r"FAULT (0\.\d+)", text)
        assert found is not None, text
        return found[1]

    def told(self, pattern: str, text: str) -> str:
        """What a line that says how to repeat it has there."""
        found = re.search(rf"(?m)^to repeat it: .*{pattern}$", text)
        assert found is not None, text
        return found[1]

    def test_a_failure_tells_its_seed(self) -> None:
        """The failing round's command line repeats its choices; another seed makes others."""
        first = self.run_faulty(SOAK)
        self.assertIn("FAILED in round 1, seed ", first)
        words = self.told(r"python -m tests\.soak (.*)", first).split()
        self.assertEqual(self.fault(self.run_faulty(SOAK, *words)), self.fault(first))
        other = str(int(words[-1]) + 1)
        self.assertNotEqual(self.fault(self.run_faulty(SOAK, "--seed", other)), self.fault(first))

    def test_the_functional_test(self) -> None:
        """So does the one storm among the functional tests."""
        trial = ("--temp-directory", self.mktemp())
        first = self.run_faulty(TRIAL, *trial, "tests.functional.test_chaos", KONNECT_CHAOS_SEED="")
        seed = self.told(r"KONNECT_CHAOS_SEED=(\d+) python -m twisted\.trial [\w.]+", first)
        name = self.told(r"python -m twisted\.trial ([\w.]+)", first)
        again = self.run_faulty(TRIAL, *trial, name, KONNECT_CHAOS_SEED=seed)
        self.assertEqual(self.fault(again), self.fault(first))
