"""Measures how long a proxy and an agent take from their start until they are ready.

    python bench/startup.py                  ours alone
    PEER_BIN=dir python bench/startup.py     beside the peer's `server` and `agent` of that folder

`proxy up` is from the start of a proxy until its health port answers; `agent linked` from the start
of an agent beside such a proxy until its `/readyz` says so; `both at once` from the start of both
until both `/readyz` do, an agent's wait after a proxy that was not up yet included. Then their
resident memory is read. Medians of `--runs`, after one that is not counted and leaves Python's
compiled files and the disk's cache warm. With the defaults it takes a minute.
"""

from __future__ import annotations

import http.client
import statistics
import sys
import tempfile
import time
from pathlib import Path

import options
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


def until(begun: float, looks: dict[int, str]) -> float:
    """
    How long after `begun` the last of these ports says 200 at its path, in seconds.

    :raises SystemExit: if one does not within `READY` seconds.
    """
    left = dict(looks)
    while left:
        for port, path in looks.items():
            if port in left and answers(port, path):
                del left[port]
        if left and time.monotonic() - begun > READY:
            raise SystemExit(f"nothing ready on port {', '.join(map(str, left))}")
        if left:
            time.sleep(STEP)
    return time.monotonic() - begun


def run(pair: str, way: str, folder: Path, port_base: int, peer: str) -> list[float]:
    """One start of each kind: the three times (ms), proxy's and agent's memory (MiB)."""
    stack = Stack(pair, way, folder, port_base, peer)
    stack.prepare()
    try:
        begun = time.monotonic()
        stack.start_proxy()
        up = until(begun, {stack.proxy_health: "/healthz"})
        begun = time.monotonic()
        stack.start_agent()
        linked = until(begun, {stack.agent_health: "/readyz"})
    finally:
        stack.__exit__()
    stack = Stack(pair, way, folder, port_base, peer)
    try:
        begun = time.monotonic()
        stack.start_proxy()
        stack.start_agent()
        both = until(begun, {stack.proxy_health: "/readyz", stack.agent_health: "/readyz"})
        memory = [resident(pid) / 1024 for pid in stack.pids]
    finally:
        stack.__exit__()
    return [up * 1000, linked * 1000, both * 1000, *memory]


def main() -> int:
    """Start each pair so many times; print a table."""
    parser = options.make_parser(__doc__, port_base=27490)
    parser.set_defaults(ways=[WAYS[0]])
    parser.add_argument("--runs", type=int, default=7)
    choice = parser.parse_args()
    cases = [(way, pair) for way in choice.ways for pair in options.pairs()]
    runs: dict[tuple[str, str], list[list[float]]] = {case: [] for case in cases}
    with tempfile.TemporaryDirectory(prefix="konnect-startup-") as name:
        for number in range(choice.runs + 1):
            for way, pair in cases:
                figures = run(pair, way, Path(name), choice.port_base, options.peer())
                if number:
                    runs[way, pair].append(figures)
    print("| way | pair | proxy up | agent linked | both at once | memory then, proxy + agent |")
    print("|---|---|---|---|---|---|")
    for way, pair in cases:
        medians = map(statistics.median, zip(*runs[way, pair], strict=True))
        up, linked, both, proxy, agent = medians
        print(
            f"| {way} | {pair} | {up:.0f} ms | {linked:.0f} ms | {both:.0f} ms"
            f" | {proxy:.1f} + {agent:.1f} MiB |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
