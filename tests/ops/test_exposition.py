"""The text format, down to its bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.trial.unittest import SynchronousTestCase

from konnect.ops.exposition import exposition, number


class Given(Collector):
    """Has the metrics that it was given."""

    def __init__(self, *metrics: Metric) -> None:
        self.metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Give them."""
        yield from self.metrics


class ExpositionTests(SynchronousTestCase):
    """Families and samples."""

    def test_counters(self) -> None:
        """A counter is called what its samples are called, with or without `_total`."""
        named = Metric("b_count", "B.", "counter")
        named.add_sample("b_count", {}, 1)
        stock = CounterMetricFamily("a", "A.", value=2, created=12345.0)
        self.assertEqual(
            exposition(Given(named, stock)),
            b"# HELP a_total A.\n# TYPE a_total counter\na_total 2\n"
            b"# HELP b_count B.\n# TYPE b_count counter\nb_count 1\n",
        )

    def test_other_kinds(self) -> None:
        """Kinds that the format does not have become those that it has."""
        unknown = Metric("u", "U.", "unknown")
        unknown.add_sample("u", {}, 0.5)
        self.assertEqual(
            exposition(Given(InfoMetricFamily("i", "I.", {"v": "1"}), unknown)),
            b'# HELP i_info I.\n# TYPE i_info gauge\ni_info{v="1"} 1\n'
            b"# HELP u U.\n# TYPE u untyped\nu 0.5\n",
        )

    def test_escapes(self) -> None:
        """Help texts and label values cannot break out of their line or quotes."""
        metric = Metric("a", "one\ntwo\\", "gauge")
        metric.add_sample("a", {"z": 'x"\n\\', "b": ""}, 1)
        self.assertEqual(
            exposition(Given(metric)),
            b'# HELP a one\\ntwo\\\\\n# TYPE a gauge\na{b="",z="x\\"\\n\\\\"} 1\n',
        )

    def test_no_text(self) -> None:
        """A value that is not all text, as names of files may be, spoils no scrape."""
        metric = Metric("a", "A.", "gauge")
        metric.add_sample("a", {"file": os.fsdecode(b"/x/\xff.crt")}, 1)
        self.assertEqual(
            exposition(Given(metric)), b'# HELP a A.\n# TYPE a gauge\na{file="/x/?.crt"} 1\n'
        )

    def test_empty_families(self) -> None:
        """A family without samples is not exposed."""
        self.assertEqual(exposition(Given(Metric("a", "A.", "gauge"))), b"")

    def test_numbers(self) -> None:
        """Numbers are written as Go writes them."""
        for value, text in (
            (0, "0"),
            (1.0, "1"),
            (86400.0, "86400"),
            (0.5, "0.5"),
            (1e-06, "1e-06"),
            (-1, "-1"),
            (float("inf"), "+Inf"),
            (float("-inf"), "-Inf"),
            (float("nan"), "NaN"),
            (2**60, "1.152921504606847e+18"),
        ):
            self.assertEqual(number(value), text)
