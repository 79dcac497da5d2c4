"""Metric families made of plain numbers: what the readers of the ledger are written in.

Why not prometheus-client's own `Counter` and `Gauge`: they count under a lock, and their names may
not end in `_count`. Here a family is made at the scrape, from numbers that were counted elsewhere.
A family without samples is not exposed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client.metrics_core import Metric

from konnect.ops.exposition import number
from konnect.tunnel.histogram import Histogram

Counts = Mapping[Any, float]
"""Values by their labels' values, which are tuples of strings as long as there are labels."""


def one_label(counts: Mapping[str, float]) -> Counts:
    """The same counts, for a family with one label."""
    return {(label,): count for label, count in counts.items()}


def gauge(name: str, text: str, counts: Counts, *labels: str) -> Metric:
    """A gauge; `text` is its help."""
    return _family(Metric(name, text, "gauge"), counts, labels)


def counter(name: str, text: str, counts: Counts, *labels: str) -> Metric:
    """A counter, under this very name."""
    return _family(Metric(name, text, "counter"), counts, labels)


def _family(metric: Metric, counts: Counts, labels: Iterable[str]) -> Metric:
    for values, count in sorted(counts.items()):
        metric.add_sample(metric.name, dict(zip(labels, values, strict=True)), count)
    return metric


def histogram(name: str, text: str, observed: Histogram) -> Metric:
    """A histogram without labels."""
    return labelled_histogram(name, text, {(): observed})


def labelled_histogram(
    name: str, text: str, observed: Mapping[Any, Histogram], *labels: str
) -> Metric:
    """A histogram for each value of the labels."""
    metric = Metric(name, text, "histogram")
    for values, one in sorted(observed.items()):
        said = dict(zip(labels, values, strict=True))
        totals = list(accumulate(one.counts))
        bounds = [number(bound) for bound in one.bounds] + ["+Inf"]
        for bound, total in zip(bounds, totals, strict=True):
            metric.add_sample(name + "_bucket", {**said, "le": bound}, total)
        metric.add_sample(name + "_sum", said, one.sum)
        metric.add_sample(name + "_count", said, totals[-1])
    return metric
