"""Tests of konnect.ops.cpu_sampler, memory and stalls: what looks at the process itself."""

from __future__ import annotations

import signal
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from konnect.ops.cpu_sampler import CpuSampler
from konnect.ops.memory import AllocationTrace, object_profile
from konnect.ops.profile import Profile
from konnect.ops.stalls import PATIENCE, StallWatch


def names(profile: Profile) -> set[str]:
    """The calls of all stacks."""
    return {frame.name for stack in profile.stacks for frame in stack}


class CpuSamplerTests(SynchronousTestCase):
    """Processor time."""

    def test_samples(self) -> None:
        """A busy main thread is found where it is busy, and afterwards no signal comes any more."""
        sampler = CpuSampler()
        sampler.start()
        while not sampler._counts.stacks():
            sum(range(1000))
        profile = sampler.stop()
        self.assertIn("ops/test_samplers.py:CpuSamplerTests.test_samples", names(profile))
        for count, nanoseconds in profile.stacks.values():
            self.assertEqual(nanoseconds, count * 10_000_000)
        self.assertEqual(signal.getitimer(signal.ITIMER_PROF), (0.0, 0.0))

    def test_late_signal(self) -> None:
        """A signal that comes behind the end does no harm."""
        sampler = CpuSampler()
        sampler.start()
        sampler.stop()
        signal.raise_signal(signal.SIGPROF)


class Kept:
    """A type whose objects are counted."""


class MemoryTests(SynchronousTestCase):
    """Objects and allocations."""

    def test_objects(self) -> None:
        """Living objects are counted by type."""
        kept = [Kept() for _ in range(7)]
        stacks = {stack[0].name: numbers for stack, numbers in object_profile().stacks.items()}
        count, size = stacks[f"{__name__}.Kept"]
        self.assertEqual(count, len(kept))
        self.assertGreater(size, 0)

    def test_allocations(self) -> None:
        """What is allocated and kept is found at its line; what is freed is not."""
        trace = AllocationTrace()
        trace.start()
        kept = bytearray(1_000_000)
        bytearray(2_000_000)
        profile = trace.stop()
        self.assertFalse(tracemalloc.is_tracing())
        sizes = [
            size
            for stack, (_, size) in profile.stacks.items()
            if stack[0].file == __file__ and size >= len(kept)
        ]
        self.assertEqual(len(sizes), 1)
        self.assertLess(sizes[0], 1_100_000)

    def test_somebody_elses_trace(self) -> None:
        """A trace that was on before stays on."""
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        trace = AllocationTrace()
        trace.start()
        trace.stop()
        self.assertTrue(tracemalloc.is_tracing())


class Loop:
    """A reactor that turns when it is told to."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.asked = threading.Event()

    def callFromThread(self, call: Callable[..., Any]) -> None:
        self.calls.append(call)
        self.asked.set()

    def turn(self) -> None:
        """Run what waits."""
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class StallWatchTests(SynchronousTestCase):
    """What holds the loop up."""

    def setUp(self) -> None:
        self.loop = Loop()
        self.watch = StallWatch(self.loop)
        self.watch._watched = threading.get_ident()

    def test_a_loop_that_turns(self) -> None:
        """While it turns, nothing is found."""
        for _ in range(5):
            self.watch.look(PATIENCE)
            self.loop.turn()
        self.assertEqual(self.watch.profile().stacks, {})

    def test_held_up(self) -> None:
        """From the patience on every look counts its time, the stall once, at the stack that it
        is at."""
        self.watch.look(0.01)
        self.watch.look(PATIENCE / 2)
        self.assertEqual(self.watch.profile().stacks, {})
        for _ in range(2):
            self.watch.look(PATIENCE)
        ((stack, numbers),) = self.watch.profile().stacks.items()
        self.assertEqual(numbers, (1, int(2 * PATIENCE * 1e9)))
        self.assertIn(
            "ops/test_samplers.py:StallWatchTests.test_held_up", [frame.name for frame in stack]
        )

    def test_again(self) -> None:
        """Each stall is counted."""
        for _ in range(2):
            self.watch.look(0.01)
            self.watch.look(PATIENCE)
            self.loop.turn()
        counts = sum(numbers[0] for numbers in self.watch.profile().stacks.values())
        self.assertEqual(counts, 2)

    def test_thread(self) -> None:
        """A thread does the looking until it is told to stop."""
        self.watch.start()
        self.assertTrue(self.loop.asked.wait(20))
        self.watch.stop()
        self.assertNotIn("konnect stall watch", [t.name for t in threading.enumerate()])
        self.watch.stop()
