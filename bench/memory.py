"""Measures what a konnect pair keeps in memory, and beside it the peer's, with `pbench.c`.

    python bench/memory.py                   our pair alone
    PEER_BIN=dir python bench/memory.py      beside the peer's `server` and `agent` of that folder
    python bench/memory.py --ways connect-uds --tunnels 500,2000

Two figures for each way: the resident memory of each process at rest, and how much each further
idle tunnel adds to it, between the smaller and the larger number of `--tunnels`. Memory that
processes share is counted in each. Unlike rates these figures are the same on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stack import Stack

from bench import WAYS, build

SETTLE = 1.0
"""Seconds of quiet before memory is read."""

DESCRIPTORS = 3
"""Descriptors of the busiest process (pbench) for each tunnel, with some to spare."""


def resident(stack: Stack) -> list[float]:
    """KiB of each process of the pair."""
    time.sleep(SETTLE)
    sizes = []
    for pid in stack.pids:
        status = Path(f"/proc/{pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        sizes.append(float(found[1]) if found else 0.0)
    return sizes


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
        return resident(stack)
    finally:
        os.killpg(load.pid, 9)
        load.wait()


def measure(pbench: Path, stack: Stack, few: int, many: int) -> tuple[list[float], list[float]]:
    """MiB at rest of each process, and KiB for each further tunnel in each."""
    rest = [size / 1024 for size in resident(stack)]
    low = with_tunnels(pbench, stack, few)
    time.sleep(SETTLE)
    high = with_tunnels(pbench, stack, many)
    return rest, [(b - a) / (many - few) for a, b in zip(low, high, strict=True)]


def main() -> int:
    """Measure the chosen ways; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--ways", default=",".join(WAYS), help="comma list of: " + ", ".join(WAYS))
    parser.add_argument("--tunnels", default="500,2500", help="the two numbers of tunnels")
    parser.add_argument("--port-base", type=int, default=27190)
    choice = parser.parse_args()
    few, many = map(int, choice.tunnels.split(","))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = many * DESCRIPTORS + 200
    if wanted > hard:
        raise SystemExit(f"{wanted} open files are needed, {hard} are allowed (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    peer = os.environ.get("PEER_BIN", "")
    stacks = ["ours+ours"] + ["peer+peer"] * bool(peer)
    print("| way | pair | at rest, proxy + agent | per further tunnel, proxy + agent | both |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="konnect-memory-") as name:
        folder = Path(name)
        pbench = build(folder)
        for way in choice.ways.split(","):
            for pair in stacks:
                with Stack(pair, way, folder, choice.port_base, peer) as stack:
                    rest, each = measure(pbench, stack, few, many)
                print(
                    f"| {way} | {pair} | {rest[0]:.1f} + {rest[1]:.1f} MiB"
                    f" | {each[0]:.2f} + {each[1]:.2f} KiB | {sum(each):.2f} KiB |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
