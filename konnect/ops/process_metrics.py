"""The process's own figures, under the names that all of Prometheus' libraries give them, and those
that only Go's has.

Why not prometheus-client's `ProcessCollector`: it lists the open files to count them. With ten
thousand tunnels that takes 25 ms at each scrape, more than all the rest of it, and the event loop
does nothing else meanwhile.
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

NONE = 2**64 - 1
"""How Go's collector says that there is no limit."""


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
        yield gauge(
            "process_max_fds",
            "Maximum number of open file descriptors.",
            {(): _limit(resource.RLIMIT_NOFILE)},
        )
        yield gauge(
            "process_virtual_memory_max_bytes",
            "Maximum amount of virtual memory available in bytes.",
            {(): _limit(resource.RLIMIT_AS)},
        )
        if self._began is None:
            return
        yield gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            {(): self._began},
        )
        # When all descriptors are in use no file can be read, and that is when the other figures
        # are wanted.
        with suppress(OSError):
            yield gauge(
                "process_open_fds",
                "Number of open file descriptors.",
                {(): open_files(self._proc)},
            )
        with suppress(OSError):
            yield from self._memory()
        with suppress(OSError):
            yield from self._network()

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

    def _network(self) -> Iterator[Metric]:
        """As in Go these are all bytes of IP in the process's network namespace, which is its own
        in a pod of its own."""
        names, values = _ip_counts((self._proc / "self/net/netstat").read_text())
        counts = dict(zip(names, values, strict=False))
        for field, name, text in (
            ("InOctets", "receive", "received by the process"),
            ("OutOctets", "transmit", "sent by the process"),
        ):
            if field in counts:
                yield counter(
                    f"process_network_{name}_bytes_total",
                    f"Number of bytes {text} over the network.",
                    {(): int(counts[field])},
                )


def _ip_counts(netstat: str) -> list[list[str]]:
    """Names and values of the lines `IpExt:`, where there are any."""
    found = [line.split()[1:] for line in netstat.splitlines() if line.startswith("IpExt:")]
    return found if len(found) == 2 else [[], []]


def _limit(which: int) -> int:
    """The soft limit; none is what Go makes of it."""
    most, _ = resource.getrlimit(which)
    return NONE if most == resource.RLIM_INFINITY else most


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
