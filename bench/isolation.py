"""What readers that have stopped cost the other tunnels of the same link, beside the peer.

    python bench/isolation.py                        our pair alone
    PEER_BIN=dir python bench/isolation.py           beside the peer's `server` and `agent`
    python bench/isolation.py --ways connect-uds --stalled 200 --seconds 1

For each way in and each stack: throughput of four tunnels and echoes of sixteen, first alone, then
beside tunnels whose clients never read an endless answer (`readers`), then beside clients that sent
all they could to destinations that never read (`writers`). The stalled ones go through the CONNECT
frontend of the same pair. A figure of 0 means that nothing came through within the time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from cells import Cell
from stack import Stack

from bench import build, measure

CELLS = (
    Cell("bulk", "isolation", "download, 4 tunnels", "down", 4, "down_MBps", "MB/s"),
    Cell("echo", "isolation", "echo p99, 16 tunnels", "ping", 16, "p99_us", "us"),
    Cell("rate", "isolation", "open + request + close", "conn", 1, "conn_s", "/s"),
)
WAYS = ("connect-uds", "connect-tls")


class Sinkhole:
    """A destination that sends without end to who says so (one byte), and reads nothing else."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                threading.Thread(target=_serve, args=(accepted,), daemon=True).start()

    def close(self) -> None:
        """Accept no more; what is open ends with its tunnels."""
        self._listener.close()


def _serve(accepted: socket.socket) -> None:
    with contextlib.suppress(OSError), accepted:
        if accepted.recv(1) == b"r":
            while True:
                accepted.sendall(bytes(65536))
        threading.Event().wait(3600)


@contextlib.contextmanager
def stalled(stack: Stack, kind: str, count: int) -> Iterator[None]:
    """So many tunnels of a running pair that have stopped, each with all the room it gets full."""
    sinkhole = Sinkhole()
    clients = []
    for _ in range(count):
        client = stack.connect(sinkhole.port)
        client.sendall(b"r" if kind == "readers" else b"w")
        if kind == "writers":
            client.settimeout(0.05)
            with contextlib.suppress(OSError):
                while True:
                    client.sendall(bytes(65536))
        clients.append(client)
    try:
        yield
    finally:
        for client in clients:
            client.close()
        sinkhole.close()


def figures(pbench: Path, stack: Stack, seconds: float) -> list[str]:
    """Each cell's figure; 0 when the load generator gets nothing through."""
    found = []
    for cell in CELLS:
        try:
            value = measure(pbench, stack, cell, seconds)[cell.figure]
        except (SystemExit, subprocess.TimeoutExpired, KeyError):
            value = 0.0
        found.append(f"{value:.0f} {cell.unit}")
    return found


def main() -> int:
    """Print a table for each way."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--ways", default=",".join(WAYS), help="comma list of: " + ", ".join(WAYS))
    parser.add_argument("--stalled", type=int, nargs="*", default=[1, 200], help="how many")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--port-base", type=int, default=27190)
    choice = parser.parse_args()
    peer = os.environ.get("PEER_BIN", "")
    stacks = ["ours+ours"] + ["peer+peer"] * bool(peer)
    with tempfile.TemporaryDirectory(prefix="konnect-bench-") as name:
        folder = Path(name)
        pbench = build(folder)
        for way in choice.ways.split(","):
            print(f"\n## {way}\n\n| stack | beside | {' | '.join(c.name for c in CELLS)} |")
            print("|---|---|" + "---|" * len(CELLS))
            for stack_name in stacks:
                with Stack(stack_name, way, folder, choice.port_base, peer) as stack:
                    row = figures(pbench, stack, choice.seconds)
                    print(f"| {stack_name} | nothing | {' | '.join(row)} |", flush=True)
                for kind in ("readers", "writers"):
                    for count in choice.stalled:
                        with (
                            Stack(stack_name, way, folder, choice.port_base, peer) as stack,
                            stalled(stack, kind, count),
                        ):
                            row = figures(pbench, stack, choice.seconds)
                        label = f"{count} {kind}"
                        print(f"| {stack_name} | {label} | {' | '.join(row)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
