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
from dataclasses import dataclass
from pathlib import Path

from stack import Stack

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Cell:
    """One measurement: a pbench mode, how many tunnels, and which of its figures is shown."""

    group: str
    name: str
    mode: str
    tunnels: int
    figure: str
    unit: str


CELLS = (
    *(Cell("bulk", f"download, {n} tunnels", "down", n, "down_MBps", "MB/s") for n in (1, 8)),
    *(Cell("bulk", f"upload, {n} tunnels", "up", n, "up_MBps", "MB/s") for n in (1, 8)),
    *(Cell("rate", f"open + request + close, {n}", "conn", n, "conn_s", "/s") for n in (1, 16, 64)),
    *(
        Cell("echo", f"echoes of 64 B, {n} tunnels", "ping", n, "pings_s", "/s")
        for n in (1, 16, 64)
    ),
    *(Cell("echo", f"echo p50, {n} tunnels", "ping", n, "p50_us", "us") for n in (1, 16, 64)),
    *(Cell("echo", f"echo p99, {n} tunnels", "ping", n, "p99_us", "us") for n in (16, 64)),
    Cell("beside", "echo p50 beside a download", "mix", 1, "p50_us", "us"),
    Cell("beside", "echo p50 beside 8 downloads", "mix", 8, "p50_us", "us"),
    Cell("beside", "download beside a reader that stopped", "slow", 4, "down_MBps", "MB/s"),
)

WAYS = ("connect-uds", "connect-tls", "grpc-uds")


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
    """One run of the load generator through a running stack."""
    command = [
        str(pbench), cell.mode, stack.via, str(stack.destination_port), str(cell.tunnels),
        str(seconds), "64", "0.5",
    ]  # fmt: skip
    environment = {**os.environ, "CERTS": str(stack.client_certs)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    if done.returncode or not done.stdout.strip():
        raise SystemExit(f"the load generator failed: {done.stderr.strip()[-500:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> int:
    """Run the chosen cells; print a table for each way."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--ways", default=",".join(WAYS), help="comma list of: " + ", ".join(WAYS))
    parser.add_argument("--only", default="", help="comma list of: bulk, rate, echo, beside")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--port-base", type=int, default=27090)
    parser.add_argument("--stacks", default="", help="comma list of PROXY+AGENT, each ours or peer")
    choice = parser.parse_args()
    peer = os.environ.get("PEER_BIN", "")
    stacks = (
        choice.stacks.split(",") if choice.stacks else ["ours+ours"] + ["peer+peer"] * bool(peer)
    )
    groups = choice.only.split(",") if choice.only else []
    cells = [cell for cell in CELLS if not groups or cell.group in groups]
    with tempfile.TemporaryDirectory(prefix="konnect-bench-") as name:
        folder = Path(name)
        pbench = build(folder)
        for way in choice.ways.split(","):
            table(pbench, folder, way, stacks, cells, choice, peer)
    return 0


def table(
    pbench: Path,
    folder: Path,
    way: str,
    stacks: list[str],
    cells: list[Cell],
    choice: argparse.Namespace,
    peer: str,
) -> None:
    """Measure and print one way's cells."""
    runs = {(cell.mode, cell.tunnels): cell for cell in cells}
    results: dict[tuple[str, int, str], list[dict[str, float]]] = {}
    for _ in range(choice.repetitions):
        for name in stacks:
            with Stack(name, way, folder, choice.port_base, peer) as stack:
                for key, cell in runs.items():
                    results.setdefault((*key, name), []).append(
                        measure(pbench, stack, cell, choice.seconds)
                    )
    print(f"\n## {way}\n\n| cell | {' | '.join(stacks)} | ratio |\n|---|{'---|' * len(stacks)}---|")
    for cell in cells:
        medians = [
            statistics.median(run[cell.figure] for run in results[cell.mode, cell.tunnels, name])
            for name in stacks
        ]
        ratio = f"{medians[0] / medians[-1]:.2f}" if len(stacks) > 1 and medians[-1] else "-"
        figures = " | ".join(f"{value:.0f} {cell.unit}" for value in medians)
        print(f"| {cell.name} | {figures} | {ratio} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
