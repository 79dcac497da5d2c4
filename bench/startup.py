"""Measures how long a proxy and an agent take from their start until they are ready.

    python bench/startup.py                  ours alone
    PEER_BIN=dir python bench/startup.py     beside the peer's `server` and `agent` of that folder

`up` is from the start of a proxy until its health port answers; `ready` from the start of both
programs at once until each says so at `/readyz`: the agent when it is linked, the proxy when it has
an agent. Then their resident memory is read. Medians of `--runs`, after one that is not counted and
leaves Python's compiled files and the disk's cache warm. A run takes some two seconds for each
pair: with the defaults, half a minute in all.
"""

from __future__ import annotations

import argparse
import http.client
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from cells import WAYS
from stack import READY, Stack, resident

STEP = 0.002
"""Seconds between two looks."""


def answers(port: int, path: str) -> bool:
    """Whether a health port says 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def seconds_until(begun: float, looks: dict[int, str]) -> list[float]:
    """
    When each port first said 200 at its path, in seconds since `begun`, in the ports' order.

    :raises SystemExit: if one does not within `READY` seconds.
    """
    found: dict[int, float] = {}
    while len(found) < len(looks):
        for port, path in looks.items():
            if port not in found and answers(port, path):
                found[port] = time.monotonic() - begun
        if time.monotonic() - begun > READY:
            raise SystemExit(f"not ready: {', '.join(str(p) for p in looks if p not in found)}")
        time.sleep(STEP)
    return [found[port] for port in looks]


def run(pair: str, way: str, folder: Path, port_base: int, peer: str) -> list[float]:
    """One start: `up`, `ready` of proxy and agent (ms), their memory (MiB)."""
    stack = Stack(pair, way, folder, port_base, peer)
    stack.prepare()
    try:
        begun = time.monotonic()
        stack.start_proxy()
        up = seconds_until(begun, {stack.proxy_health: "/healthz"})
    finally:
        stack.__exit__()
    stack = Stack(pair, way, folder, port_base, peer)
    try:
        begun = time.monotonic()
        stack.start_proxy()
        stack.start_agent()
        ready = seconds_until(begun, {stack.proxy_health: "/readyz", stack.agent_health: "/readyz"})
        memory = [resident(pid) / 1024 for pid in stack.pids]
    finally:
        stack.__exit__()
    return [value * 1000 for value in (*up, *ready)] + memory


def main() -> int:
    """Start each pair so many times; print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--way", default=WAYS[0], help="one of: " + ", ".join(WAYS))
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--port-base", type=int, default=27490)
    choice = parser.parse_args()
    peer = os.environ.get("PEER_BIN", "")
    pairs = ["ours+ours"] + ["peer+peer"] * bool(peer)
    runs: dict[str, list[list[float]]] = {pair: [] for pair in pairs}
    with tempfile.TemporaryDirectory(prefix="konnect-startup-") as name:
        for number in range(choice.runs + 1):
            for pair in pairs:
                figures = run(pair, choice.way, Path(name), choice.port_base, peer)
                if number:
                    runs[pair].append(figures)
    print("| pair | proxy up | proxy ready | agent ready | memory then, proxy + agent |")
    print("|---|---|---|---|---|")
    for pair in pairs:
        up, proxy, agent, first, second = map(statistics.median, zip(*runs[pair], strict=True))
        print(
            f"| {pair} | {up:.0f} ms | {proxy:.0f} ms | {agent:.0f} ms"
            f" | {first:.1f} + {second:.1f} MiB |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
