"""Measures each pairing of a half of ours with a half of the peer's, beside the peer's own pair.

    PEER_BIN=dir python bench/mixed.py
    PEER_BIN=dir python bench/mixed.py --ways grpc-uds --only bulk --seconds 1 --repetitions 1

Whoever changes one half at a time must not lose by it: a rate has to be at least `LEAST` of the
peer's own pair's, that of bulk `LEAST_BULK`, and a time at most 1 / `LEAST` of its. A cell in which
nothing comes through is 0 and does not hold up the others. Each takes `--seconds` and half a second
more, for each repetition and each of the three pairs: with the defaults some 16 minutes in all.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import options
import verdicts
from cells import CELLS, Cell

from bench import build, collect

# The peer's own pair is what the others are compared with, so it is the last.
PAIRS = ("ours+peer", "peer+ours", "peer+peer")
"""PROXY+AGENT."""

LEAST = 0.8
LEAST_BULK = 1.1


def bar(cell: Cell) -> float:
    """What the ratio to the peer's own pair must be: at least, or for times at most."""
    if cell.is_time:
        return 1 / LEAST
    return LEAST_BULK if cell.row in ("download", "upload") else LEAST


def row(cell: Cell, medians: list[float]) -> str:
    """A cell's figures, and for each mixed pair its ratio and whether that is enough."""
    figures = [cell.shown(value) for value in medians]
    for value in medians[:-1]:
        ratio = cell.ratio(value, medians[-1])
        figures.append(verdicts.shown(ratio))
        figures.append(cell.verdict(ratio, bar(cell)))
    return " | ".join(figures)


def main() -> int:
    """Run the chosen cells; print a table for each way."""
    parser = options.make_parser(__doc__, port_base=27290, seconds=2.0)
    options.add_only(parser)
    choice = parser.parse_args()
    cells = options.chosen(CELLS, choice)
    with tempfile.TemporaryDirectory(prefix="konnect-bench-") as name:
        folder = Path(name)
        pbench = build(folder)
        for way in choice.ways:
            medians = collect(pbench, folder, way, list(PAIRS), cells, choice)
            ratios = "".join(f" {pair} | must |" for pair in PAIRS[:-1])
            print(f"\n## {way}\n\n| cell | {' | '.join(PAIRS)} |{ratios}")
            print("|---|" + "---|" * (len(PAIRS) + 4))
            for cell in cells:
                print(f"| {cell.name} | {row(cell, medians[cell.name])} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
