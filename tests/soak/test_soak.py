"""A storm that finds something says how to repeat it, and repeated so finds it again."""

from __future__ import annotations

import re
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

FAULTY = """
import sys
from tests.functional.storm import Storm
from tests.soak.__main__ import main

async def run(self):
    self.wrong.append(f"fault {self._chance.random()}")

Storm.run = run
sys.exit(main())
"""
"""The command, with a fault that depends on the seed's choices in place of a storm."""


class ReplayTests(SynchronousTestCase):
    """The command, as a process of its own."""

    def soak(self, *arguments: str) -> str:
        """What a run prints that finds something."""
        done = subprocess.run(
            [sys.executable, "-c", FAULTY, *arguments], capture_output=True, text=True, timeout=100
        )
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return done.stdout

    def fault(self, text: str) -> str:
        """The choice at which it failed."""
        found = re.search(r"fault (0\.\d+)", text)
        assert found is not None, text
        return found[1]

    def test_a_failure_tells_its_seed(self) -> None:
        """The failing round's command line repeats its choices; another seed makes others."""
        first = self.soak()
        told = re.search(r"to repeat it: python -m tests\.soak (.*)", first)
        assert told is not None, first
        self.assertEqual(self.fault(self.soak(*told[1].split())), self.fault(first))
        seed = int(told[1].split()[-1])
        self.assertNotEqual(self.fault(self.soak("--seed", str(seed + 1))), self.fault(first))
