"""Measures the hot pieces one by one: instructions for each operation, so a regression shows
without noise.

    python bench/micro.py                        this checkout
    python bench/micro.py --against HEAD~1       beside what it was at a commit
    python bench/micro.py --only link,relay --json figures.json
    python bench/micro.py --by cpu               CPU time, though the machine could count

How is counted, the first that this machine has: the processor's own counter, valgrind's callgrind
(about half a minute), the least CPU time of many repetitions. With `--against`, the pieces of
*this* file are run with `konnect` as it was there, taken from git into a temporary folder, and with
this environment's dependencies; a piece that does not fit it is skipped with a word. A figure never
fails the command; a piece that does not fit this checkout does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import micro_count

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 300
"""Seconds that one tree may take."""

Figures = dict[str, Any]


class NoSuchVersion(Exception):
    """Git cannot give the tree that was asked for."""


def extract(ref: str, folder: Path) -> str:
    """Put `konnect` as of `ref` into `folder`; returns the commit. Raises `NoSuchVersion`."""
    git = ["git", "-C", str(ROOT)]
    try:
        named = [*git, "rev-parse", "--short", "--verify", "--quiet", f"{ref}^{{commit}}"]
        commit = subprocess.run(named, check=True, capture_output=True, text=True).stdout.strip()
        archive = [*git, "archive", "--format=tar", commit, "konnect"]
        tar = subprocess.run(archive, check=True, capture_output=True).stdout
    except FileNotFoundError:
        raise NoSuchVersion("there is no git here") from None
    except subprocess.CalledProcessError:
        raise NoSuchVersion(f"git has no commit {ref!r} with konnect in it") from None
    with tarfile.open(fileobj=BytesIO(tar)) as opened:
        # An argument of this name is unknown before Python 3.11.4.
        opened.extraction_filter = getattr(tarfile, "data_filter", None)
        opened.extractall(folder)
    return commit


def measure(tree: Path, how: str, only: str) -> Figures:
    """The figures of the `konnect` in `tree`; raises SystemExit with what the worker said."""
    with tempfile.TemporaryDirectory(prefix="konnect-micro-") as folder:
        command = [sys.executable, str(Path(__file__).with_name("micro_count.py")), how, only]
        prefix = micro_count.VALGRIND if how == "valgrind" else []
        env = {**os.environ, "PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"}
        env["PYTHONDONTWRITEBYTECODE"] = "1"
        try:
            done = subprocess.run(
                [*prefix, *command], cwd=folder, env=env, timeout=LIMIT, capture_output=True
            )
        except subprocess.TimeoutExpired:
            raise SystemExit(f"measuring {tree} took more than {LIMIT} s") from None
        said = Path(folder, micro_count.FIGURES)
        if done.returncode or not said.exists():
            raise SystemExit(f"measuring {tree} failed:\n{done.stderr.decode(errors='replace')}")
        figures: Figures = json.loads(said.read_text())
        if how == "valgrind":
            micro_count.add_dumps(figures, Path(folder))
        return figures


def show(figures: Figures, before: Figures | None, how: str, name: str) -> None:
    """Print the table."""
    unit = "ns of CPU" if how == "cpu" else "instructions"
    print(f"{unit} for each operation, by {micro_count.WAYS[how]}")
    head = f"{'piece':<44}{'now':>12}"
    print(head + (f"{name:>12}{'ratio':>8}" if before is not None else ""))
    for piece, figure in figures.items():
        line = f"{piece:<44}{_cell(figure):>12}"
        was = (before or {}).get(piece)
        if was is not None:
            line += f"{_cell(was):>12}"
            if "each" in figure and "each" in was:
                line += f"{figure['each'] / was['each']:>8.3f}"
        print(line)
    for label, some in (("now", figures), (name, before or {})):
        for piece, figure in some.items():
            if "skipped" in figure:
                print(f"skipped, {label}: {piece}: {figure['skipped']}")


def _cell(figure: Any) -> str:
    return f"{figure['each']:,.0f}" if "each" in figure else "-"


def main() -> int:
    """Measure, print, and write the file that was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", metavar="REF", help="a commit to measure beside this checkout")
    parser.add_argument("--only", default="", help="comma list of beginnings of pieces' names")
    parser.add_argument("--by", choices=micro_count.WAYS, help="how to count")
    parser.add_argument("--json", metavar="FILE", type=Path, help="where to write the figures")
    options = parser.parse_args()

    how = options.by or micro_count.best_way()
    with tempfile.TemporaryDirectory(prefix="konnect-before-") as folder:
        commit = ""
        if options.against:
            try:
                commit = extract(options.against, Path(folder))
            except NoSuchVersion as error:
                print(f"measured alone: {error}")
        trees = [ROOT, Path(folder)] if commit else [ROOT]
        # Counting does not mind company; CPU time would.
        with ThreadPoolExecutor(1 if how == "cpu" else len(trees)) as pool:
            measured = list(pool.map(lambda tree: measure(tree, how, options.only), trees))
    before = measured[1] if commit else None
    show(measured[0], before, how, commit)
    if options.json is not None:
        told = {"by": how, "now": measured[0], "before": before, "commit": commit}
        options.json.write_text(json.dumps(told, indent=2) + "\n")
    return int(any("skipped" in figure for figure in measured[0].values()))


if __name__ == "__main__":
    sys.exit(main())
