"""Prometheus' text format 0.0.4, as upstream's programs write it.

Why not `prometheus_client.generate_latest`: it appends `_total` to the name of every counter, and
some of upstream's counters are called `..._count`. Whole numbers are written without `.0`, as Go
does.
"""

from __future__ import annotations

from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"

_TYPES = {"unknown": "untyped", "info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram"}


def exposition(source: Collector) -> bytes:
    """All families that `source` (a registry or one collector) has samples of, sorted by name."""
    families = []
    for metric in source.collect():
        samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
        if not samples:
            continue
        suffixed = metric.type in ("counter", "info")
        name = samples[0].name if suffixed else metric.name
        kind = _TYPES.get(metric.type, metric.type)
        lines = [f"# HELP {name} {_escape(metric.documentation)}", f"# TYPE {name} {kind}"]
        lines += [_line(sample) for sample in samples]
        families.append((name, lines))
    families.sort()
    return "".join(f"{line}\n" for _, lines in families for line in lines).encode(
        "utf-8",
        "replace",  # a file's name may hold bytes that are no text
    )


def number(value: float) -> str:
    """A value or a bucket's bound as Go writes it."""
    if abs(value) < 1e15 and value == int(value):
        return str(int(value))
    return str(floatToGoString(value))


def _line(sample: Sample) -> str:
    labels = ",".join(
        f'{name}="{_escape(value).replace(chr(34), chr(92) + chr(34))}"'
        for name, value in sorted(sample.labels.items())
    )
    return f"{sample.name}{'{' + labels + '}' if labels else ''} {number(sample.value)}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
