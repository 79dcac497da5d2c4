"""What memory is used for: living objects by type, and allocations by the code that made them."""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc

from konnect.ops.profile import Frame, Profile, Stack

DEPTH = 16
"""Calls that are kept for each allocation."""


def object_profile() -> Profile:
    """
    The objects that the garbage collector looks at, by type, each with its own size: in a program
    that runs, what has come since its start (`konnect.app.collector`).

    It looks at every one of them, and nothing else runs meanwhile: some tenths of a second for a
    million.
    """
    found: dict[str, list[int]] = {}
    for thing in gc.get_objects():
        kind = type(thing)
        row = found.setdefault(f"{kind.__module__}.{kind.__qualname__}", [0, 0])
        row[0] += 1
        row[1] += sys.getsizeof(thing, 0)
    return Profile(
        values=(("inuse_objects", "count"), ("inuse_space", "bytes")),
        stacks={(Frame(name),): tuple(row) for name, row in found.items()},
        began=time.time(),
    )


class AllocationTrace:
    """What is allocated between `start` and `stop` and still there at the end. Python is slower by
    a third or so meanwhile."""

    def __init__(self) -> None:
        self._ours = False
        self._began = 0.0
        self._clock = 0.0

    def start(self) -> None:
        """Begin to trace."""
        self._began = time.time()
        self._clock = time.monotonic()
        self._ours = not tracemalloc.is_tracing()
        if self._ours:
            tracemalloc.start(DEPTH)

    def stop(self) -> Profile:
        """What was found. A trace that somebody else had begun goes on, and all of it is told."""
        snapshot = tracemalloc.take_snapshot()
        if self._ours:
            tracemalloc.stop()
        stacks: dict[Stack, tuple[int, ...]] = {}
        for row in snapshot.statistics("traceback"):
            stack = tuple(
                Frame("/".join(place.filename.split("/")[-2:]), place.filename, place.lineno)
                for place in reversed(row.traceback)
            )
            stacks[stack] = (row.count, row.size)
        return Profile(
            values=(("inuse_objects", "count"), ("inuse_space", "bytes")),
            stacks=stacks,
            began=self._began,
            seconds=time.monotonic() - self._clock,
        )
