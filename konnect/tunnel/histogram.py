"""Durations, counted into buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Cumulative-on-read histogram; `counts[i]` holds observations <= `bounds[i]`, the last the
    rest."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        # As floats: to compare them with integers takes a fourth of what an observation does.
        self.bounds = tuple(map(float, bounds))
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation (negative ones, from a clock set back, count as 0)."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        if seconds > 0:
            self.sum += seconds
