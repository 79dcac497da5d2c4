"""What keeps a test from standing still for ever where a call blocks that should not."""

from __future__ import annotations

import signal
from types import FrameType

from twisted.trial.unittest import SynchronousTestCase

SECONDS = 30


def bound_waits(test: SynchronousTestCase) -> None:
    """From now on to its end, this test fails when it takes that long."""

    def too_long(number: int, frame: FrameType | None) -> None:
        raise AssertionError("a call blocks that should not")

    before = signal.signal(signal.SIGALRM, too_long)
    test.addCleanup(signal.signal, signal.SIGALRM, before)
    test.addCleanup(signal.alarm, 0)
    signal.alarm(SECONDS)
