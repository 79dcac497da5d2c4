"""Tests of konnect.app.allocator."""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from konnect.app import allocator

READS = 300
PROGRAM = f"""
import resource
from konnect.app import allocator
{{}}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for times in 3, {READS}:
    before = faults()
    for _ in range(times):
        reads = [bytes(bytearray(262080)) for _ in range(8)]
        del reads
print(faults() - before)
"""


class AllocatorTests(SynchronousTestCase):
    """In this process nothing is changed."""

    def setUp(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.patch(allocator, "mallopt", lambda: lambda *args: self.asked.append(args))
        self.patch(os, "environ", {k: v for k, v in os.environ.items() if k not in allocator.OWN})

    def test_tuned(self) -> None:
        allocator.keep_more()
        self.assertEqual(dict(self.asked), allocator.VALUES)

    def test_the_operator_decides(self) -> None:
        """One variable of glibc's, and all is as the environment says."""
        for name in allocator.OWN:
            os.environ[name] = "x"
            allocator.keep_more()
            del os.environ[name]
        self.assertEqual(self.asked, [])

    def test_another_c_library(self) -> None:
        """Where nothing can be tuned the program starts all the same."""
        self.patch(allocator, "mallopt", lambda: None)
        self.patch(allocator, "malloc_trim", lambda: None)
        allocator.keep_more()
        allocator.give_back()


class FaultTests(SynchronousTestCase):
    """In a process of its own."""

    def faults(self, statement: str) -> int:
        """Page faults of some thousand reads that are freed eight at a time."""
        environ = {k: v for k, v in os.environ.items() if k not in allocator.OWN}
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(statement)],
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            check=True,
        )
        return int(run.stdout)

    def test_reads_are_made_of_kept_memory(self) -> None:
        if allocator.mallopt() is None:
            self.skipTest("this C library has no mallopt")
        # 64 pages for each of 8 reads, each time.
        self.assertGreater(self.faults(""), READS * 64, "else there is nothing to tune")
        self.assertLess(self.faults("allocator.keep_more()"), READS)

    def test_what_the_start_left(self) -> None:
        """Freed memory below memory in use goes back, which malloc alone would never give."""
        if allocator.malloc_trim() is None:
            self.skipTest("this C library has no malloc_trim")
        program = """
import re
from pathlib import Path
from konnect.app import allocator
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
blocks = [bytes(2000) + b"x" for _ in range(10_000)]
pinning = bytes(2000) + b"y"
del blocks
before = resident()
allocator.give_back()
print(before - resident())
"""
        run = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, timeout=60, check=True
        )
        self.assertGreater(int(run.stdout), 10_000, "KiB, of 20,000 that were freed")
