"""Counts what each piece of `micro.py` costs: the process that it starts, once for each tree.

    python bench/micro_count.py WAY [ONLY]       writes figures.json into the current folder

Only the operations are counted, neither their preparation nor the interpreter's start. Under
callgrind, a call of a C function that nobody else calls makes it write what was counted since the
call before, and begin anew.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FIGURES = "figures.json"
REPETITIONS = 15
"""Runs of which the cheapest counts, where time is what is counted."""

WAYS = {
    "counter": "the processor's counter (user mode)",
    "valgrind": "valgrind's callgrind",
    "cpu": f"the least CPU time of {REPETITIONS} repetitions",
}

MODULES = ("micro_links", "micro_wire", "micro_tunnels")

_DUMPS = "callgrind.out"
VALGRIND = [
    "valgrind",
    "--tool=callgrind",
    f"--callgrind-out-file={_DUMPS}",
    "--dump-before=getloadavg",
]

_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_USER_ONLY = 1 << 5 | 1 << 6


def best_way() -> str:
    """The first of `WAYS` that this machine has."""
    if open_counter() is not None:
        return "counter"
    return "valgrind" if _valgrind_works() else "cpu"


def _valgrind_works() -> bool:
    command = [*VALGRIND[:2], "--callgrind-out-file=/dev/null", "true"]
    try:
        return not subprocess.run(command, capture_output=True, timeout=60).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


def open_counter() -> int | None:
    """A descriptor that reads as this thread's instructions so far (perf_event_open(2)), if the
    machine has such a counter and lets us look at it."""
    number = _PERF_EVENT_OPEN.get(os.uname().machine)
    if sys.platform != "linux" or number is None:
        return None
    # type hardware (0), size, config instructions (1); then no sampling, and no kernel
    attributes = struct.pack("IIQQQQQ", 0, 112, 1, 0, 0, 0, _USER_ONLY).ljust(112, b"\0")
    descriptor = ctypes.CDLL(None).syscall(number, attributes, 0, -1, -1, 0)
    return descriptor if descriptor >= 0 else None


def add_dumps(figures: dict[str, Any], folder: Path) -> None:
    """Complete figures with what callgrind wrote into `folder`."""
    for figure in figures.values():
        if "dump" in figure:
            text = (folder / f"{_DUMPS}.{figure.pop('dump')}").read_text()
            found = re.search(r"^totals: (\d+)", text, re.MULTILINE)
            assert found is not None, "callgrind wrote no totals"
            figure["each"] = int(found[1]) / figure["operations"]


class Counting:
    """Counts one way; `figure` runs one piece."""

    def __init__(self, way: str) -> None:
        self._way = way
        self._marks = 0
        self._counter = open_counter() if way == "counter" else None
        if way == "counter" and self._counter is None:
            raise SystemExit("this machine's counter of instructions cannot be read")

    def figure(self, prepare: Any, operations: int) -> dict[str, Any]:
        """What `operations` cost, once the interpreter has got used to them."""
        prepare(max(operations // 4, 12))()
        if self._way == "valgrind":
            run = prepare(operations)
            gc.collect()
            self._mark()
            try:
                run()
            finally:
                self._mark()
            return {"operations": operations, "dump": self._marks}
        least = min(self._once(prepare(operations)) for _ in range(REPETITIONS))
        return {"operations": operations, "each": least / operations}

    def _mark(self) -> None:
        os.getloadavg()
        self._marks += 1

    def _once(self, run: Any) -> int:
        gc.collect()
        before = self._now()
        run()
        return self._now() - before

    def _now(self) -> int:
        if self._counter is None:
            return time.process_time_ns()
        return int.from_bytes(os.read(self._counter, 8), sys.byteorder)


def main(way: str, only: str = "") -> None:
    """Count the chosen pieces."""
    wanted = tuple(only.split(","))
    counting = Counting(way)
    figures: dict[str, Any] = {}
    gc.disable()
    for module in MODULES:
        try:
            pieces = importlib.import_module(module).PIECES
        except ImportError as error:  # another version may lack anything
            figures[module] = {"skipped": str(error)}
            continue
        for name, (prepare, operations) in pieces.items():
            if name.startswith(wanted):
                try:
                    figures[name] = counting.figure(prepare, operations)
                except Exception as error:
                    figures[name] = {"skipped": f"{type(error).__name__}: {error}"}
    Path(FIGURES).write_text(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
