"""What tunnels that have stopped cost the other tunnels of the same link, beside the peer.

    python bench/isolation.py                        our pair alone
    PEER_BIN=dir python bench/isolation.py           beside the peer's `server` and `agent`
    python bench/isolation.py --ways grpc-uds --stalled 200 --seconds 1 --repetitions 1

The stopped ones are clients that never read an endless answer (`readers`), or clients that have
sent all they could to destinations that never read (`writers`), through the same frontend as the
tunnels that are measured. Each repetition starts a pair anew and measures it alone, beside the
stopped ones, and alone again; its ratio is the second to the mean of the two others, so that a
machine that changes its pace decides less. Medians are printed. "CPU" is the same ratio of the
pair's CPU time for each byte or operation: of all figures the one that other load on the machine
moves least. A figure of 0 means that nothing came through within the time.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

import options
import verdicts
from cells import WAYS, Cell
from stack import Stack
from stalled import MODES, stalled

from bench import build, measure

CELLS = (
    Cell("bulk", "down", "download, 4", "down", 4, "down_MBps", "MB/s"),
    Cell("bulk", "up", "upload, 4", "up", 4, "up_MBps", "MB/s"),
    Cell("echo", "rate", "echoes of 64 B, 16", "ping", 16, "pings_s", "/s"),
    Cell("echo", "p99", "echo p99, 16", "ping", 16, "p99_us", "us"),
    Cell("rate", "opens", "open + request + close, 1", "conn", 1, "conn_s", "/s"),
)

MUST = {"down": 0.9, "up": 0.9, "rate": 0.9, "p99": 2.0, "opens": 0.9}
"""The ratio beside / alone that each row must reach."""

AT_REST = 10.0
"""Milliseconds of CPU in a second that the stopped ones may cost while nothing else happens."""


@dataclass
class Figure:
    """One cell's value of one run, and the CPU time of the pair for each byte or operation."""

    value: float = 0.0
    cpu: float = 0.0
    failed: float = 0.0
    """Tunnels that could not be opened or broke."""


Figures = list[Figure]


def figures(pbench: Path, stack: Stack, seconds: float, *, untouched: bool = False) -> Figures:
    """
    One figure for each of CELLS, and behind them the CPU at rest in ms/s.

    :param untouched: raise SystemExit where the load generator fails (its port is taken, say); else
        that is a complaint, and the figure is 0.
    """
    runs: dict[tuple[str, int], dict[str, float]] = {}
    found = []
    for cell in CELLS:
        key = (cell.mode, cell.tunnels)
        if key not in runs:
            try:
                runs[key] = measure(pbench, stack, cell, seconds)
            except (SystemExit, subprocess.TimeoutExpired) as problem:
                if untouched:
                    raise
                print(f"{cell.name}: {problem}", file=sys.stderr)
                runs[key] = {}
        run = runs[key]
        cpu = run.get("cpu_s_GB", 0.0) or run.get("cpu_us", 0.0)
        found.append(Figure(run.get(cell.figure, 0.0), cpu, run.get("fails", 0.0)))
    time.sleep(0.3)
    before = stack.cpu_seconds()
    time.sleep(seconds)
    found.append(Figure((stack.cpu_seconds() - before) / seconds * 1000))
    return found


@dataclass
class Repetition:
    """A pair alone, beside stopped tunnels, and alone again."""

    before: Figures
    beside: Figures
    after: Figures
    opened: int

    def alone(self, row: int) -> Figure:
        """The mean of before and after; what did not get through is not counted."""
        both = self.before[row], self.after[row]
        return Figure(*(_mean(values) for values in zip(*map(astuple, both), strict=True)))

    def ratios(self, row: int) -> tuple[float | None, float | None]:
        """Beside to alone, of the value and of the CPU time; None where nothing was measured."""
        alone, beside = self.alone(row), self.beside[row]
        cpu = beside.cpu / alone.cpu if alone.cpu and beside.cpu else None
        return CELLS[row].ratio(beside.value, alone.value), cpu


def repeat(pbench: Path, stack: Stack, kind: str, count: int, seconds: float) -> Repetition:
    """Measure a running pair three times."""
    before = figures(pbench, stack, seconds, untouched=True)
    with stalled(pbench, stack, kind, count) as opened:
        beside = figures(pbench, stack, seconds)
    return Repetition(before, beside, figures(pbench, stack, seconds), opened)


def _mean(values: Iterable[float]) -> float:
    there = [value for value in values if value]
    return statistics.mean(there) if there else 0.0


def lines(kind: str, count: int, name: str, runs: list[Repetition]) -> list[str]:
    """The rows of a table for one pair beside one kind of stopped tunnels."""
    opened = min(run.opened for run in runs)
    label = f"{count} {kind}" + (f" ({opened} opened)" if opened < count else "")
    found = []
    for row, cell in enumerate(CELLS):
        alone = cell.shown(statistics.median(run.alone(row).value for run in runs))
        beside = cell.shown(statistics.median(run.beside[row].value for run in runs))
        failed = sum(run.beside[row].failed for run in runs)
        ratios = zip(*(run.ratios(row) for run in runs), strict=True)
        value, cpu = map(verdicts.median, ratios)
        verdict = f"{failed:.0f} failed NO" if failed else cell.verdict(value, MUST[cell.row])
        ratio, used = verdicts.shown(value), verdicts.shown(cpu)
        columns = (label, name, cell.name, alone, beside, ratio, verdict, used)
        found.append(f"| {' | '.join(columns)} |")
    rest = len(CELLS)
    alone_ms = statistics.median(run.alone(rest).value for run in runs)
    beside_ms = statistics.median(run.beside[rest].value for run in runs)
    meets = verdicts.answer(beside_ms - alone_ms <= AT_REST)
    found.append(
        f"| {label} | {name} | CPU at rest | {alone_ms:.0f} ms/s | {beside_ms:.0f} ms/s |"
        f" | <= {AT_REST:.0f} more {meets} | |"
    )
    return found


def main() -> int:
    """Print a table for each way."""
    parser = options.make_parser(__doc__, port_base=27190, seconds=2.0, default=WAYS)
    parser.add_argument("--stalled", type=int, nargs="*", default=[1, 200], help="how many")
    parser.add_argument("--kinds", default=",".join(MODES), help="comma list of: readers, writers")
    choice = parser.parse_args()
    stacks, peer = options.pairs(), options.peer()
    with tempfile.TemporaryDirectory(prefix="konnect-bench-") as name:
        folder = Path(name)
        pbench = build(folder)
        for way in choice.ways:
            print(f"\n## {way}\n\n| beside | pair | cell | alone | beside | ratio | must | CPU |")
            print("|---|---|---|---|---|---|---|---|", flush=True)
            for kind in choice.kinds.split(","):
                for count in choice.stalled:
                    runs: dict[str, list[Repetition]] = {pair: [] for pair in stacks}
                    for _ in range(choice.repetitions):
                        for pair in stacks:
                            with Stack(pair, way, folder, choice.port_base, peer) as stack:
                                runs[pair].append(
                                    repeat(pbench, stack, kind, count, choice.seconds)
                                )
                    for pair in stacks:
                        print("\n".join(lines(kind, count, pair, runs[pair])), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
