"""Measures what a tunnel carries over a long path between proxy and agent.

    python bench/far.py                      our pair alone
    PEER_BIN=dir python bench/far.py         beside the peer's `server` and `agent` of that folder
    python bench/far.py --trips 0,50 --ways connect-uds --seconds 2 --repetitions 1

Agents dial out from far away: then how much a sender may have on its way decides what a tunnel
carries, and not the processor. A relay (`relay.py`) holds back what passes between agent and proxy
for half of each of the `--trips`, milliseconds of a round trip. Printed are medians in MB/s, of one
tunnel and of eight, and the ratio ours / peer.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import options
import verdicts
from cells import CELLS
from stack import READY, Stack

from bench import build, measure

RELAY = Path(__file__).with_name("relay.py")

BULK = [cell for cell in CELLS if cell.row in ("download", "upload")]


class FarStack(Stack):
    """A pair with a relay between its halves; `trip` in seconds."""

    def __init__(self, trip: float, *more: object) -> None:
        super().__init__(*more)  # type: ignore[arg-type]
        self._trip = trip
        self._relay: subprocess.Popen[bytes] | None = None

    def start_agent(self) -> None:
        """See `Stack`."""
        proxy, self.link_port = self.link_port, self.link_port + 5
        command = [sys.executable, str(RELAY), str(self.link_port), str(proxy), str(self._trip / 2)]
        self._relay = subprocess.Popen(command)
        deadline = time.monotonic() + READY
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", self.link_port)):
                    break
            time.sleep(0.05)
        super().start_agent()

    def __exit__(self, *why: object) -> None:
        super().__exit__(*why)
        if self._relay is not None:
            self._relay.kill()
            self._relay.wait()


def rates(
    pbench: Path,
    folder: Path,
    way: str,
    trip: int,
    pairs: list[str],
    choice: argparse.Namespace,
) -> None:
    """Print the lines of one way and one length of the path."""
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(choice.repetitions):
        for pair in pairs:
            more = (pair, way, folder, choice.port_base, options.peer())
            with FarStack(trip / 1000, *more) as stack:
                for cell in BULK:
                    figures = measure(pbench, stack, cell, choice.seconds)
                    found.setdefault((pair, cell.name), []).append(figures[cell.figure])
    for cell in BULK:
        medians = [statistics.median(found[pair, cell.name]) for pair in pairs]
        figures = [cell.shown(value) for value in medians]
        if pairs[-1] == options.PEERS:
            ratios = [cell.ratio(value, medians[-1]) for value in medians[:-1]]
            figures += map(verdicts.shown, ratios)
        print(f"| {way} | {trip} ms | {cell.name} | {' | '.join(figures)} |", flush=True)


def main() -> int:
    """Measure the chosen ways; print a table."""
    parser = options.make_parser(__doc__, port_base=27690, seconds=4.0, default=["connect-uds"])
    parser.add_argument("--trips", type=options.numbers, default=[10, 50, 150], help="numbers")
    parser.add_argument("--mixed", action="store_true", help="also one half ours, one the peer's")
    choice = parser.parse_args()
    pairs = options.pairs()
    if choice.mixed:
        pairs[1:1] = ["ours+peer", "peer+ours"]
    ratios = [f"{pair} ratio" for pair in pairs[:-1]] if pairs[-1] == options.PEERS else []
    heads = ["way", "round trip", "cell", *pairs, *ratios]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    with tempfile.TemporaryDirectory(prefix="konnect-far-") as name:
        folder = Path(name)
        pbench = build(folder)
        for way in choice.ways:
            for trip in choice.trips:
                rates(pbench, folder, way, trip, pairs, choice)
    return 0


if __name__ == "__main__":
    sys.exit(main())
