"""The process's own figures, under the names that all of Prometheus' libraries give them.

Why not prometheus-client's `ProcessCollector`: it lists the open files to count them. With ten
thousand tunnels that is 25 ms at each scrape, more than all else there, and the event loop stands
meanwhile.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from konnect.ops.families import counter, gauge

_PROC = Path("/proc")


class ProcessCollector(Collector):
    """Figures of this process; where there is no /proc, those that need none."""

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        self._began = _began(proc)

    def collect(self) -> Iterator[Metric]:
        yield counter(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            {(): time.process_time()},
        )
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield gauge(
            "process_max_fds",
            "Maximum number of open file descriptors.",
            {(): float("inf") if most == resource.RLIM_INFINITY else most},
        )
        if self._began is None:
            return
        yield gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            {(): self._began},
        )
        # When all descriptors are in use no file can be read, and just then the others are wanted.
        with suppress(OSError):
            yield gauge(
                "process_open_fds",
                "Number of open file descriptors.",
                {(): open_files(self._proc)},
            )
        with suppress(OSError):
            yield from self._memory()

    def _memory(self) -> Iterator[Metric]:
        page = resource.getpagesize()
        virtual, resident = (self._proc / "self/statm").read_text().split()[:2]
        yield gauge(
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            {(): int(virtual) * page},
        )
        yield gauge(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            {(): int(resident) * page},
        )


def open_files(proc: Path = _PROC) -> int:
    """How many files this process has open: the size of a folder since Linux 6.2, which before had
    none, so that there it takes longer the more there are."""
    folder = proc / "self/fd"
    return folder.stat().st_size or len(os.listdir(folder)) - 1  # the listing's own


def _began(proc: Path) -> float | None:
    """When this process was started, in seconds since 1970; None where that is not told."""
    try:
        lines = (proc / "stat").read_text().splitlines()
        # The fields behind the program's name in parentheses, which may hold anything: proc(5)
        # counts `starttime` as the 22nd, and the name as the second.
        fields = (proc / "self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    ticks = int(fields[22 - 3]) / os.sysconf("SC_CLK_TCK")
    return ticks + next((int(line.split()[1]) for line in lines if line.startswith("btime ")), 0)
