"""Tests of konnect.ops.stacks."""

from __future__ import annotations

import sys
import threading
from types import FrameType

from twisted.trial.unittest import SynchronousTestCase

from konnect.ops import stacks
from konnect.ops.stacks import DEPTH, StackCounts, thread_profile, thread_text


def here() -> FrameType:
    """The frame of this very call."""
    return sys._getframe()


def deep(calls: int) -> FrameType:
    """The frame of a call that is so deep."""
    return sys._getframe() if calls == 0 else deep(calls - 1)


class StackCountsTests(SynchronousTestCase):
    """Numbers for stacks."""

    def test_adds_up(self) -> None:
        """The same stack is one, with its numbers added up; it begins with the innermost call."""
        counts = StackCounts(2)
        for _ in range(3):
            counts.add(here(), 1, 10)
        ((stack, numbers),) = counts.stacks().items()
        self.assertEqual(numbers, (3, 30))
        self.assertEqual(stack[0].name, "ops/test_stacks.py:here")
        self.assertEqual(stack[1].name, "ops/test_stacks.py:StackCountsTests.test_adds_up")
        self.assertEqual(stack[0].file, __file__)
        self.assertEqual(stack[0].line, here().f_lineno)

    def test_same_names(self) -> None:
        """Different code of one name and place is added up too."""
        counts = StackCounts(1)
        calls = [lambda: sys._getframe(), lambda: (sys._getframe(), 1)[0]]  # in one line
        for call in calls:
            counts.add(call(), 1)
        ((_, numbers),) = counts.stacks().items()
        self.assertEqual(numbers, (2,))

    def test_depth(self) -> None:
        """A stack is cut at a depth; its innermost calls are kept."""
        counts = StackCounts(1)
        counts.add(deep(2 * DEPTH), 1)
        ((stack, _),) = counts.stacks().items()
        self.assertEqual({frame.name for frame in stack}, {"ops/test_stacks.py:deep"})
        self.assertEqual(len(stack), DEPTH)

    def test_bounded(self) -> None:
        """When there are too many different stacks, the rest are one; known ones still count."""
        self.patch(stacks, "DIFFERENT", 1)
        counts = StackCounts(1)
        for calls in (0, 1, 2, 0):
            counts.add(deep(calls), 1)
        self.assertEqual(sorted(counts.stacks().values()), [(2,), (2,)])
        self.assertIn("(too many different stacks)", [s[0].name for s in counts.stacks()])


class ThreadTests(SynchronousTestCase):
    """The stacks of all threads."""

    def setUp(self) -> None:
        over, begun = threading.Event(), threading.Event()

        def wait() -> None:
            begun.set()
            over.wait()

        thread = threading.Thread(target=wait, name="somebody")
        thread.start()
        begun.wait()

        def end() -> None:
            over.set()
            thread.join()

        self.addCleanup(end)

    def test_text(self) -> None:
        """Every thread has a block, its calls with their files and lines."""
        text = thread_text()
        self.assertIn("\nsomebody:\n", "\n" + text)
        self.assertIn(f"ThreadTests.test_text  {__file__}:", text)

    def test_profile(self) -> None:
        """Every thread is counted, its name the outermost call."""
        outermost = {stack[-1].name for stack in thread_profile().stacks}
        self.assertIn("somebody", outermost)
        self.assertIn(threading.current_thread().name, outermost)
