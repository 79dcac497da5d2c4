"""What holds the event loop up: the main thread's stack, whenever the loop has not turned for a
while.

A thread asks the loop for a sign of life many times a second. While there is none for `PATIENCE`
seconds, every look counts the main thread's stack. It begins with the program, so the profile is
that of the time since then, as that of Go's blocked goroutines is.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from konnect.ops.profile import Profile
from konnect.ops.stacks import StackCounts

PERIOD = 0.02
"""Seconds between two looks."""

PATIENCE = 0.04
"""Seconds without a sign of life after which the loop counts as held up."""


class StallWatch:
    """Watches a reactor from `start` to `stop`. Both are called in the reactor's thread."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._counts = StackCounts(2)
        self._watched = 0
        self._alive = True
        self._silent = 0.0
        self._new = True
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._began = 0.0
        self._clock = 0.0

    def start(self) -> None:
        """Begin to watch."""
        self._began = time.time()
        self._clock = time.monotonic()
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="konnect stall watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; harmless when it was not begun."""
        self._over.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def profile(self) -> Profile:
        """What was found since the start: how often the loop was held up there, and for how
        long."""
        return Profile(
            values=(("contentions", "count"), ("delay", "nanoseconds")),
            stacks=self._counts.stacks(),
            period=int(PERIOD * 1e9),
            began=self._began,
            seconds=time.monotonic() - self._clock,
        )

    def _run(self) -> None:
        while not self._over.wait(PERIOD):
            self.look(PERIOD)

    def look(self, passed: float) -> None:
        """One look, so many seconds after the last one."""
        if self._alive:
            self._alive = False
            self._silent = 0.0
            self._new = True
            self._reactor.callFromThread(self._sign)
            return
        self._silent += passed
        if self._silent >= PATIENCE:
            frame = sys._current_frames().get(self._watched)
            self._counts.add(frame, int(self._new), int(passed * 1e9))
            self._new = False

    def _sign(self) -> None:
        self._alive = True
