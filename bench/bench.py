"""Measures a konnect pair, and beside it the peer's, with the lean load generator `pbench.c`.

    python bench/bench.py                    our pair alone
    PEER_BIN=dir python bench/bench.py       beside the peer's `server` and `agent` of that folder
    python bench/bench.py --ways connect-uds --only bulk --seconds 1 --repetitions 1

Each cell is measured for every stack in turn, `--repetitions` times; medians are printed, and the
ratio ours / peer (rates: more is better; times: less). Everything runs on loopback and unix sockets
in a temporary folder and ends by itself. Ratios of one run mean something on a shared machine;
figures of two runs side by side do not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import options
import verdicts
from cells import CELLS, Cell
from stack import Stack

HERE = Path(__file__).parent

WARM_UP = 0.5
"""Seconds of load before anything is counted."""

PATIENCE = 20.0
"""Seconds that the load generator has to end after its time is over, before it is ended."""


def build(folder: Path) -> Path:
    """Compile the load generator; raises SystemExit where that is impossible."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit(
            "the load generator is C: a compiler `cc` and OpenSSL's headers are needed"
        )
    binary = folder / "pbench"
    command = [
        compiler,
        "-O2",
        "-w",
        "-o",
        str(binary),
        str(HERE / "pbench.c"),
        "-lssl",
        "-lcrypto",
    ]
    if subprocess.run(command).returncode:
        raise SystemExit("the load generator could not be built (OpenSSL's headers missing?)")
    return binary


def measure(pbench: Path, stack: Stack, cell: Cell, seconds: float) -> dict[str, float]:
    """
    One run of the load generator through a running stack, and the stack's CPU time meanwhile.

    :raises SystemExit: if the generator fails or does not end.
    """
    command = [
        str(pbench), cell.mode, stack.via, str(stack.destination_port), str(cell.tunnels),
        str(seconds), "64", str(WARM_UP),
    ]  # fmt: skip
    environment = {**os.environ, "CERTS": str(stack.client_certs)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as run:
        time.sleep(WARM_UP)
        before = stack.cpu_seconds()
        time.sleep(seconds)
        cpu = stack.cpu_seconds() - before
        try:
            out, problems = run.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            run.kill()
            raise SystemExit("the load generator did not end") from None
    if run.returncode or not out.strip():
        raise SystemExit(f"the load generator failed: {problems.strip()[-500:]}")
    figures: dict[str, float] = json.loads(out.splitlines()[-1])
    gigabytes = (figures["down_MBps"] + figures["up_MBps"]) * seconds / 1000
    operations = (figures["conn_s"] or figures["pings_s"]) * seconds
    figures["cpu_s_GB"] = cpu / gigabytes if gigabytes else 0.0
    figures["cpu_us"] = cpu / operations * 1e6 if operations else 0.0
    return figures


def main() -> int:
    """Run the chosen cells; print a table for each way."""
    parser = options.make_parser(__doc__, port_base=27090, seconds=2.0)
    options.add_only(parser)
    parser.add_argument("--stacks", default="", help="comma list of PROXY+AGENT, each ours or peer")
    choice = parser.parse_args()
    stacks = choice.stacks.split(",") if choice.stacks else options.pairs()
    cells = options.chosen(CELLS, choice)
    with tempfile.TemporaryDirectory(prefix="konnect-bench-") as name:
        folder = Path(name)
        pbench = build(folder)
        for way in choice.ways:
            table(pbench, folder, way, stacks, cells, choice)
    return 0


def collect(
    pbench: Path,
    folder: Path,
    way: str,
    stacks: list[str],
    cells: list[Cell],
    choice: argparse.Namespace,
) -> dict[str, list[float]]:
    """
    Measure one way's cells: each cell's medians by its name, in the stacks' order.

    A cell in which the load generator fails or nothing comes through is 0, and stderr says why.
    """
    runs = {(cell.mode, cell.tunnels): cell for cell in cells}
    results: dict[tuple[str, int, str], list[dict[str, float]]] = {}
    for _ in range(choice.repetitions):
        for name in stacks:
            with Stack(name, way, folder, choice.port_base, options.peer()) as stack:
                for key, cell in runs.items():
                    try:
                        figures = measure(pbench, stack, cell, choice.seconds)
                    except SystemExit as problem:
                        print(f"{way}, {name}, {cell.name}: {problem}", file=sys.stderr)
                        figures = {}
                    results.setdefault((*key, name), []).append(figures)
    return {
        cell.name: [
            statistics.median(
                run.get(cell.figure, 0.0) for run in results[cell.mode, cell.tunnels, name]
            )
            for name in stacks
        ]
        for cell in cells
    }


def table(
    pbench: Path,
    folder: Path,
    way: str,
    stacks: list[str],
    cells: list[Cell],
    choice: argparse.Namespace,
) -> None:
    """Measure and print one way's cells."""
    medians = collect(pbench, folder, way, stacks, cells, choice)
    print(f"\n## {way}\n\n| cell | {' | '.join(stacks)} | ratio | must | aim |")
    print(f"|---|{'---|' * len(stacks)}---|---|---|")
    for cell in cells:
        print(f"| {cell.name} | {row(cell, way, medians[cell.name])} |", flush=True)


def row(cell: Cell, way: str, medians: list[float]) -> str:
    """A cell's figures, the ratio of the first to the last, and what it has to be."""
    figures = [cell.shown(value) for value in medians]
    ratio = cell.ratio(medians[0], medians[-1]) if len(medians) > 1 else None
    figures.append(verdicts.shown(ratio))
    figures.extend(cell.verdict(ratio, bar) for bar in cell.bars(way) or (None, None))
    return " | ".join(figures)


if __name__ == "__main__":
    sys.exit(main())
