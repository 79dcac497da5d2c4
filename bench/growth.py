"""Measures what idle tunnels cost what goes on beside them, from 1 to 10,000, with `pbench.c`.

    python bench/growth.py                   our pair alone
    PEER_BIN=dir python bench/growth.py      beside the peer's `server` and `agent` of that folder
    python bench/growth.py --ways connect-uds --tunnels 0,100,1000 --seconds 0.5 --repetitions 1

With so many tunnels open and idle, each row has: the resident memory of both processes; the share
of a core that both use while nothing happens; tunnels that are opened, used and closed in a second,
16 at once, and the CPU time of both for one; the median time of an echo, 16 tunnels, and the CPU
time of both for one. The last column names what grew by more than its share since the row before
(memory, idle CPU) or over the first row (all else), and is the only verdict: `no` is good.

Memory and CPU times mean something on a busy machine too, rates and times do not. With the defaults
a way takes two to three minutes for each pair, TLS the longest: some 14 minutes with a peer.
Opening is given up after ten seconds without a further tunnel.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import options
from cells import Cell
from stack import Stack, allow_files, resident

from bench import build, measure

RATE = Cell("rate", "rate", "open + request + close, 16", "conn", 16, "conn_s", "/s")
ECHO = Cell("echo", "p50", "echo p50, 16", "ping", 16, "p50_us", "us")

SETTLE = 2.0
"""Seconds between what was done and the look at what is there."""

QUIET = 3.0
"""Seconds over which idle CPU is measured."""

HOLD = 900
"""Seconds after which the holder of idle tunnels ends by itself, if nobody has told it to."""

SPARE_FILES = 500
"""Open files of each process besides one for each tunnel."""

HEAD = (
    "| pair | idle tunnels | proxy | agent | idle CPU | opened | CPU for one"
    " | echo p50 | CPU for one | above linear |"
)


@dataclass(frozen=True)
class Row:
    """What was measured beside so many idle tunnels."""

    tunnels: int
    proxy: float
    """MiB, as `agent`."""
    agent: float
    idle: float
    """Percent of a core."""
    rate: float
    """In a second."""
    rate_cpu: float
    """Microseconds, as what follows."""
    echo: float
    echo_cpu: float

    def shown(self) -> str:
        """The row's cells, the verdict left out."""
        return (
            f"{self.tunnels} | {self.proxy:.1f} MiB | {self.agent:.1f} MiB | {self.idle:.2f} %"
            f" | {self.rate:.0f} /s | {self.rate_cpu:.0f} us | {self.echo:.0f} us"
            f" | {self.echo_cpu:.0f} us"
        )


def above_linear(rows: Sequence[Row]) -> str:
    """
    What of the last row grew by more than its share, or `no`.

    Memory and idle CPU may grow in proportion to the tunnels: what they are above the first row, at
    most 1.25 times what a row before with tunnels gives reason to expect, and a little for what
    comes and goes. What one operation costs may not grow: it is at most 1.25 times the first row's
    CPU time. Rates and times tell of the machine as well; they are named when they are worse by
    half.
    """
    first, now = rows[0], rows[-1]
    if now is first:
        return ""
    before = rows[-2]
    found = []
    if before.tunnels:
        for name, slack in (("proxy", 2.0), ("agent", 2.0), ("idle", 0.5)):
            rest = getattr(first, name)
            expected = max(getattr(before, name) - rest, 0.0) * now.tunnels / before.tunnels
            if getattr(now, name) - rest > 1.25 * expected + slack:
                found.append(NAMES[name])
    for name, most in (("rate_cpu", 1.25), ("echo_cpu", 1.25), ("echo", 1.5)):
        if not getattr(now, name) or getattr(now, name) > most * getattr(first, name):
            found.append(NAMES[name])
    if now.rate < first.rate / 1.5:
        found.append(NAMES["rate"])
    return ", ".join(found) or "no"


NAMES = {
    "proxy": "memory of the proxy",
    "agent": "memory of the agent",
    "idle": "idle CPU",
    "rate": "rate",
    "rate_cpu": "CPU for an opening",
    "echo": "echo p50",
    "echo_cpu": "CPU for an echo",
}


class Idle:
    """The idle tunnels through a running pair, held by load generators of their own."""

    def __init__(self, pbench: Path, stack: Stack) -> None:
        self._pbench = pbench
        self._stack = stack
        self._holders: list[tuple[subprocess.Popen[str], int]] = []
        self.count = 0

    def grow(self, count: int) -> None:
        """
        Open what is missing of so many tunnels.

        Each step is a process with a destination of its own, on a port of its own.

        :raises SystemExit: if they do not open.
        """
        missing = count - self.count
        if missing <= 0:
            return
        stack = self._stack
        port = stack.destination_port + 1 + len(self._holders)
        holder = subprocess.Popen(
            [str(self._pbench), "hold", stack.via, str(port), str(missing), str(HOLD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "CERTS": str(stack.client_certs)},
        )
        self._holders.append((holder, missing))
        ready = _told(holder, "ready")
        self.count += ready
        if ready < missing:
            raise SystemExit(f"only {self.count} of {count} tunnels opened")

    def close(self) -> int:
        """End all of them; returns how many had ended before."""
        lost = 0
        for holder, count in self._holders:
            assert holder.stdin is not None
            with contextlib.suppress(OSError):
                holder.stdin.close()
            lost += count - _told(holder, "left")
            holder.wait()
        self._holders.clear()
        return lost


def _told(holder: subprocess.Popen[str], name: str) -> int:
    assert holder.stdout is not None
    line = holder.stdout.readline()
    return int(json.loads(line)[name]) if line else 0


def beside(pbench: Path, stack: Stack, idle: Idle, seconds: float, repetitions: int) -> Row:
    """Measure what there is beside the idle tunnels; what nothing came through for is 0."""
    time.sleep(SETTLE)
    memory = [resident(pid) / 1024 for pid in stack.pids]
    begun, used = time.monotonic(), stack.cpu_seconds()
    time.sleep(QUIET)
    share = (stack.cpu_seconds() - used) / (time.monotonic() - begun)
    loads = {}
    for cell in (RATE, ECHO):
        runs = []
        for _ in range(repetitions):
            try:
                figures = measure(pbench, stack, cell, seconds)
            except SystemExit as problem:
                print(f"{cell.name}: {problem}", file=sys.stderr)
                figures = {}
            runs.append((figures.get(cell.figure, 0.0), figures.get("cpu_us", 0.0)))
        loads[cell] = [statistics.median(values) for values in zip(*runs, strict=True)]
    return Row(idle.count, *memory, share * 100, *loads[RATE], *loads[ECHO])


def rows(pbench: Path, stack: Stack, choice: argparse.Namespace) -> Iterator[tuple[Row, str]]:
    """Measure one running pair with more and more idle tunnels: each row and its verdict."""
    idle = Idle(pbench, stack)
    done: list[Row] = []
    try:
        # What the first load makes a process keep would be taken for the first tunnels' memory.
        for cell in (RATE, ECHO):
            with contextlib.suppress(SystemExit):
                measure(pbench, stack, cell, choice.seconds)
        for count in choice.tunnels:
            idle.grow(count)
            done.append(beside(pbench, stack, idle, choice.seconds, choice.repetitions))
            yield done[-1], above_linear(done)
    except SystemExit as problem:
        print(problem, file=sys.stderr)
    finally:
        lost = idle.close()
        if lost:
            print(f"{lost} of the idle tunnels ended while others were measured", file=sys.stderr)


def main() -> int:
    """Measure the chosen ways; print a table for each."""
    parser = options.make_parser(__doc__, port_base=27390, seconds=1.0)
    several = [0, 1, 10, 100, 1000, 3000, 10000]
    parser.add_argument("--tunnels", type=options.numbers, default=several)
    choice = parser.parse_args()
    allow_files(choice.tunnels[-1] + SPARE_FILES)
    with tempfile.TemporaryDirectory(prefix="konnect-growth-") as name:
        folder = Path(name)
        pbench = build(folder)
        for way in choice.ways:
            print(f"\n## {way}\n\n{HEAD}\n{'|---' * HEAD.count(' | ')}|---|", flush=True)
            for pair in options.pairs():
                with Stack(pair, way, folder, choice.port_base, options.peer()) as stack:
                    for row, verdict in rows(pbench, stack, choice):
                        print(f"| {pair} | {row.shown()} | {verdict} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
