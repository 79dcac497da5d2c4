"""The client's metrics for a program that has a Prometheus registry: upstream's names, help texts
and labels. Only who imports this module imports prometheus-client.

    from prometheus_client import REGISTRY
    from konnect.client.metrics import register_metrics

    register_metrics(REGISTRY)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakSet

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from konnect.client.ledger import ledger

CLIENT = "konnectivity_network_proxy_client_"

_registered: WeakSet[CollectorRegistry] = WeakSet()


def register_metrics(registry: CollectorRegistry) -> None:
    """Have `registry` show the metrics of this process's dials and tunnels; once is enough, and
    twice is harmless."""
    if registry not in _registered:
        registry.register(_ClientCollector())
        _registered.add(registry)


class _ClientCollector(Collector):
    """Reads the ledger, in whichever thread a scrape comes: each dict by a copy, which the
    reactor's thread cannot come between."""

    def collect(self) -> Iterator[Metric]:
        yield _counter(
            "dial_failure",
            "Number of dial failures observed, by reason (example: remote endpoint error)",
            ("reason",),
            {(reason,): count for reason, count in ledger.dial_failures.copy().items()},
        )
        tunnels = GaugeMetricFamily(
            CLIENT + "client_connections",
            "Number of open client connections, by status (Example: dialing)",
            labels=("status",),
        )
        for state, count in sorted(ledger.tunnels.copy().items()):
            tunnels.add_metric((state,), count)
        yield tunnels
        yield _counter(
            "stream_packets",
            "Count of packets processed, by segment and packet type (example: from_client,"
            " DIAL_REQ)",
            ("segment", "packet_type"),
            ledger.packets,
        )
        yield _counter(
            "stream_errors",
            "Count of gRPC stream errors, by segment, grpc Code, packet type."
            " (example: from_agent, Code.Unavailable, DIAL_RSP)",
            ("segment", "code", "packet_type"),
            ledger.stream_errors,
        )


def _counter(name: str, text: str, labels: Sequence[str], counts: dict[Any, int]) -> Metric:
    """`name` is without the `_total` that prometheus-client appends."""
    family = CounterMetricFamily(CLIENT + name, text, labels=labels)
    for values, count in sorted(counts.copy().items()):
        family.add_metric(values, count)
    return family
