"""
Storm after storm in one process, until something is wrong or time is up.

    python -m tests.soak --minutes 120
    python -m tests.soak --seed 4711 --rounds 1       repeat one round's choices

Each round is one storm (tests/functional/storm.py) with the next seed, on proxies, agents and
destinations of its own. Behind it the process must be as before: books balanced, tables empty, no
descriptor, delayed call or logged error more; and its resident memory must not grow from the third
round on by more than `--grow` MiB. A failure names its round, lists what was done in it last, and
ends with the command line that repeats its choices.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import time
from itertools import count
from pathlib import Path

from twisted.trial.reporter import TreeReporter

from tests.functional.storming import StormTestCase
from tests.functional.waiting import descriptors

WARM = 3
"""Rounds after which memory is expected to have come to rest."""


class Round(StormTestCase):
    """One storm, as a test that trial runs."""

    seed = 0
    seconds = 0.0
    said = ""
    why = ""
    """Of a storm that has failed: what led there, and how to repeat it."""

    def tell(self, text: str) -> None:
        self.why = text

    def replay(self, seed: int) -> str:
        return f"python -m tests.soak --rounds 1 --seconds {self.seconds:g} --seed {seed}"

    async def round(self) -> None:
        """See the module."""
        storm = await self.pass_over(self.seed, self.seconds)
        self.said = ", ".join(f"{number} {what}" for what, number in sorted(storm.counts.items()))


def resident() -> int:
    """MiB of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") // 2**20


def passed(number: int, seed: int, seconds: float) -> bool:
    """Run one round; print what happened."""
    case = Round("round")
    case.seed, case.seconds, case.timeout = seed, seconds, int(seconds) + 90
    reporter = TreeReporter(sys.stdout, realtime=True)
    case.run(reporter)
    if not reporter.wasSuccessful():
        reporter.done()
        print(f"FAILED in round {number}, seed {seed}. {case.why}")
        return False
    gc.collect()
    rest = f"{resident()} MiB, {len(descriptors())} files"
    print(f"round {number}, seed {seed}: {case.said}; {rest}", flush=True)
    return True


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__.split("\n")[1]
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=0, help="as many, however long it takes")
    parser.add_argument("--seconds", type=float, default=12.0, help="of one storm")
    parser.add_argument("--grow", type=int, default=64, help="MiB that memory may grow")
    choice = parser.parse_args()
    end = time.monotonic() + choice.minutes * 60
    at_rest = 0
    for number in count(1):
        if not passed(number, choice.seed + number - 1, choice.seconds):
            return 1
        if number == WARM:
            at_rest = resident()
        elif number > WARM and resident() > at_rest + choice.grow:
            print(f"FAILED: {resident()} MiB of memory, {at_rest} after {WARM} rounds")
            return 1
        if number == choice.rounds or (not choice.rounds and time.monotonic() > end):
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
