"""Measures what a konnect pair keeps in memory, and beside it the peer's, with `pbench.c`.

    python bench/memory.py                   our pair alone
    PEER_BIN=dir python bench/memory.py      beside the peer's `server` and `agent` of that folder
    python bench/memory.py --ways connect-uds --tunnels 500,2000

Two figures for each way: the resident memory of each process at rest, and how much each further
idle tunnel adds to it, between the smaller and the larger number of `--tunnels`. Memory that
processes share is counted in each. Unlike rates these figures are the same on a busy machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import options
from stack import Stack, allow_files, resident

from bench import build

SETTLE = 1.0
"""Seconds of quiet before memory is read."""

SPARE_FILES = 500
"""Open files of each process besides one for each tunnel."""


def settled(stack: Stack) -> list[float]:
    """KiB of each process of the pair."""
    time.sleep(SETTLE)
    return [resident(pid) for pid in stack.pids]


def with_tunnels(pbench: Path, stack: Stack, tunnels: int) -> list[float]:
    """KiB of each process while so many tunnels are open and idle; raises SystemExit if fewer
    open."""
    command = [str(pbench), "idle", stack.via, str(stack.destination_port), str(tunnels), "60"]
    load = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "CERTS": str(stack.client_certs)},
        start_new_session=True,
    )
    try:
        assert load.stdout is not None
        said = load.stdout.readline()
        if f'"ready":{tunnels}' not in said:
            raise SystemExit(f"{tunnels} idle tunnels were asked for, pbench says: {said.strip()}")
        return settled(stack)
    finally:
        os.killpg(load.pid, 9)
        load.wait()


def measure(pbench: Path, stack: Stack, few: int, many: int) -> tuple[list[float], list[float]]:
    """MiB at rest of each process, and KiB for each further tunnel in each."""
    rest = [size / 1024 for size in settled(stack)]
    low = with_tunnels(pbench, stack, few)
    time.sleep(SETTLE)
    high = with_tunnels(pbench, stack, many)
    return rest, [(b - a) / (many - few) for a, b in zip(low, high, strict=True)]


def main() -> int:
    """Measure the chosen ways; print a table."""
    parser = options.make_parser(__doc__, port_base=27590)
    parser.add_argument("--tunnels", type=options.numbers, default=[500, 2500], help="two numbers")
    choice = parser.parse_args()
    few, many = choice.tunnels
    allow_files(many + SPARE_FILES)
    print("| way | pair | at rest, proxy + agent | per further tunnel, proxy + agent | both |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="konnect-memory-") as name:
        folder = Path(name)
        pbench = build(folder)
        for way in choice.ways:
            for pair in options.pairs():
                with Stack(pair, way, folder, choice.port_base, options.peer()) as stack:
                    rest, each = measure(pbench, stack, few, many)
                print(
                    f"| {way} | {pair} | {rest[0]:.1f} + {rest[1]:.1f} MiB"
                    f" | {each[0]:.2f} + {each[1]:.2f} KiB | {sum(each):.2f} KiB |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
