"""Where the processor's time goes: the stack of the main thread, looked at a hundred times a second
of it.

The kernel's timer of processor time (ITIMER_PROF) sends SIGPROF; a process that rests is not
sampled. A sample costs some microseconds, and nothing is paid while no profile is taken.
"""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Any

from konnect.ops.profile import Profile
from konnect.ops.stacks import StackCounts

PERIOD = 0.01
"""Seconds of processor time between two samples (that of Go's profiler)."""

_NANOSECONDS = int(PERIOD * 1e9)


class CpuSampler:
    """One profile: begun by `start` in the main thread, ended by `stop`."""

    def __init__(self) -> None:
        self._counts = StackCounts(2)
        self._before: Any = None
        self._began = 0.0
        self._clock = 0.0

    def start(self) -> None:
        """Begin to sample."""
        self._began = time.time()
        self._clock = time.monotonic()
        self._before = signal.signal(signal.SIGPROF, self._sample)
        # System calls go on behind the signal.
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, PERIOD, PERIOD)

    def stop(self) -> Profile:
        """Sample no more; what was found."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        # A signal that is on its way must not meet the default, which ends the process.
        before = self._before
        signal.signal(signal.SIGPROF, signal.SIG_IGN if before is signal.SIG_DFL else before)
        return Profile(
            values=(("samples", "count"), ("cpu", "nanoseconds")),
            stacks=self._counts.stacks(),
            period=_NANOSECONDS,
            began=self._began,
            seconds=time.monotonic() - self._clock,
        )

    def _sample(self, number: int, frame: FrameType | None) -> None:
        self._counts.add(frame, 1, _NANOSECONDS)
