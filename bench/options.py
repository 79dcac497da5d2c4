"""What all measuring programs are told in the same words: ways, time, ports, the peer."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable

from cells import ASKED, WAYS, Cell

OURS = "ours+ours"
PEERS = "peer+peer"
"""PROXY+AGENT."""


def make_parser(
    about: str | None,
    *,
    port_base: int,
    seconds: float | None = None,
    repetitions: int = 3,
    default: Iterable[str] = ASKED,
) -> argparse.ArgumentParser:
    """
    The options that are the same everywhere; a program adds its own.

    :param about: the program's docstring, which is its help.
    :param port_base: the first of its twenty ports; each program has others, so that two may run.
    :param default: the ways that are measured when none is named.
    :param seconds: of each load; None where nothing is measured over a time, or repeated.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--ways",
        type=ways,
        default=list(default),
        help="comma list of: " + ", ".join(WAYS),
    )
    if seconds is not None:
        parser.add_argument("--seconds", type=float, default=seconds, help="of each load")
        parser.add_argument("--repetitions", type=int, default=repetitions)
    parser.add_argument("--port-base", type=int, default=port_base)
    return parser


def add_only(parser: argparse.ArgumentParser) -> None:
    """An option to measure some groups of cells: see `chosen`."""
    parser.add_argument("--only", default="", help="comma list of: bulk, rate, echo, beside")


def chosen(cells: Iterable[Cell], choice: argparse.Namespace) -> list[Cell]:
    """The cells of the groups that were asked for; all where none was."""
    groups = choice.only.split(",") if choice.only else []
    return [cell for cell in cells if not groups or cell.group in groups]


def ways(words: str) -> list[str]:
    """`connect-uds,grpc-uds` as a list."""
    found = words.split(",")
    for way in found:
        if way not in WAYS:
            raise argparse.ArgumentTypeError(f"there is no way {way!r}, but: {', '.join(WAYS)}")
    return found


def numbers(words: str) -> list[int]:
    """`0,10,100` as numbers, in order."""
    return sorted(int(word) for word in words.split(","))


def peer() -> str:
    """The folder with the peer's `server` and `agent`; "" where there is none."""
    return os.environ.get("PEER_BIN", "")


def pairs() -> list[str]:
    """Ours, and the peer's where there is one."""
    return [OURS, PEERS] if peer() else [OURS]
