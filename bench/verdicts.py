"""What figures come to: medians of what is there, ratios, and whether these meet their bars."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable


def median(values: Iterable[float | None]) -> float | None:
    """Of those that are there; None where none is."""
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def ratio(ours: float, others: float, *, less_is_better: bool) -> float | None:
    """
    Ours by the other's; None where the other got nothing through.

    Where nothing came through, a time is 0 as well: ours is then without bounds.
    """
    if not others:
        return None
    return math.inf if less_is_better and not ours else ours / others


def shown(value: float | None) -> str:
    """A ratio as it stands in a table; `-` for one that is not there."""
    return "-" if value is None else f"{value:.2f}"


def verdict(value: float | None, bar: float | None, *, less_is_better: bool) -> str:
    """What a ratio has to be, and whether it is: `>= 1.10 yes`; less where one is unknown."""
    if bar is None:
        return ""
    asked = f"{'<=' if less_is_better else '>='} {bar:.2f}"
    if value is None:
        return asked
    return f"{asked} {answer(value <= bar if less_is_better else value >= bar)}"


def answer(met: bool) -> str:
    """The word; the bad one is to be seen."""
    return "yes" if met else "NO"
