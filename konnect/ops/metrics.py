"""The metrics of a proxy and of an agent, read from the ledger when they are scraped.

Upstream's names, help texts, labels and buckets, which dashboards and test suites match exactly;
ours besides them begin with `konnect_`. Nothing is counted here: the data path counts in plain
integers. Unlike upstream's, what has no labels is there from the start, as zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from konnect.ops.exposition import exposition, number
from konnect.tunnel.ledger import Histogram, Ledger

PROXY = "konnectivity_network_proxy_server_"
AGENT = "konnectivity_network_proxy_agent_"

_Counts = Mapping[Any, float]
"""Values by their labels' values, which are tuples of strings as long as there are labels."""


def proxy_metrics(ledger: Ledger) -> Callable[[], bytes]:
    """What answers a scrape of a proxy with this ledger."""
    registry = make_registry(ProxyCollector(ledger))
    return lambda: exposition(registry)


def agent_metrics(ledger: Ledger) -> Callable[[], bytes]:
    """What answers a scrape of an agent with this ledger."""
    registry = make_registry(AgentCollector(ledger))
    return lambda: exposition(registry)


def make_registry(collector: Collector) -> CollectorRegistry:
    """A registry of its own (never the global one): `collector` and the process's own figures."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(collector)
    return registry


class ProxyCollector(Collector):
    """Reads a proxy's ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        ledger = self._ledger
        yield _histogram(
            PROXY + "dial_duration_seconds",
            "Latency of dial to the remote endpoint in seconds",
            ledger.dial_seconds,
        )
        yield _histogram(
            PROXY + "frontend_write_duration_seconds",
            "Latency of write to the frontend in seconds",
            ledger.frontend_write_seconds,
        )
        yield _histogram(
            PROXY + "connection_duration_seconds",
            "Duration in seconds a proxied end-to-end connection was established (post-dial)"
            " before being closed.",
            ledger.connection_seconds,
        )
        yield _gauge(
            PROXY + "grpc_connections",
            "Number of current grpc connections, partitioned by service method.",
            _one_label(ledger.grpc_streams),
            "service_method",
        )
        yield _gauge(
            PROXY + "http_connections",
            "Number of current HTTP CONNECT connections",
            {(): ledger.http_connections},
        )
        yield _gauge(
            PROXY + "ready_backend_connections",
            "Number of konnectivity agent connected to the proxy server."
            " DEPRECATED, please use ready_backends",
            # Upstream's is that of whichever strategy changed last; the largest is steadier.
            {(): max(ledger.ready_backends.values(), default=0)},
        )
        yield _gauge(
            PROXY + "ready_backends",
            "Number of konnectivity agent connected to the proxy server",
            _one_label(ledger.ready_backends),
            "proxy_strategy",
        )
        yield _gauge(
            PROXY + "pending_backend_dials",
            "Current number of pending backend dial requests",
            {(): ledger.pending_dials},
        )
        yield _gauge(
            PROXY + "established_connections",
            "Current number of established end-to-end connections (post-dial).",
            {(): ledger.live},
        )
        yield _gauge(
            PROXY + "full_receive_channels",
            "Number of current connections blocked by a full receive channel,"
            " partitioned by service method.",
            _one_label(ledger.full_receive_channels),
            "service_method",
        )
        yield _counter(
            PROXY + "dial_failure_count",
            "Number of dial failures observed."
            " Multiple failures can occur for a single dial request.",
            _one_label(ledger.dial_failures),
            "reason",
        )
        yield _counter(
            PROXY + "culled_leases_count",
            "Count of expired leases that the lease garbage collection controller has culled.",
            {(): 0},  # there is no lease controller, so this is the truth
        )
        yield _counter(
            "konnect_dials_retried_total",
            "Dials for which a second agent was asked, by what was wrong with the first.",
            _one_label(ledger.dials_retried),
            "cause",
        )
        yield from _streams(PROXY, ledger)
        yield from _ours(ledger)


class AgentCollector(Collector):
    """Reads an agent's ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        ledger = self._ledger
        yield _histogram(
            AGENT + "dial_duration_seconds",
            "Latency of dial to the remote endpoint in seconds",
            ledger.dial_seconds,
        )
        yield _counter(
            AGENT + "endpoint_dial_failure_total",
            "Number of failures dialing the remote endpoint, by reason (example: timeout).",
            _one_label(ledger.endpoint_dial_failures),
            "reason",
        )
        opened = ledger.open_server_connections
        yield _gauge(
            AGENT + "open_server_connections",
            "Current number of open server connections.",
            {} if opened is None else {(): opened},
        )
        yield _gauge(
            AGENT + "known_server_count",
            "Current number of servers agent is trying to connect to.",
            {(): ledger.known_server_count},
        )
        yield _gauge(
            AGENT + "open_endpoint_connections",
            "Current number of open endpoint connections.",
            {(): ledger.open_endpoint_connections},
        )
        yield from _streams(AGENT, ledger)
        yield from _ours(ledger)


def _streams(prefix: str, ledger: Ledger) -> Iterator[Metric]:
    yield _counter(
        prefix + "stream_packets_total",
        "Count of packets processed, by segment and packet type (example: from_client, DIAL_REQ)",
        ledger.packets,
        "segment",
        "packet_type",
    )
    yield _counter(
        prefix + "stream_errors_total",
        "Count of gRPC stream errors, by segment, grpc Code, packet type."
        " (example: from_agent, Code.Unavailable, DIAL_RSP)",
        ledger.stream_errors,
        "segment",
        "code",
        "packet_type",
    )


def _ours(ledger: Ledger) -> Iterator[Metric]:
    yield _gauge(
        "konnect_buffered_bytes",
        "Bytes of tunnels that wait here for slow readers.",
        {(): ledger.buffered},
    )
    yield _counter(
        "konnect_tunnels_opened_total", "Tunnels whose dial succeeded.", {(): ledger.opened}
    )
    yield _counter(
        "konnect_tunnels_closed_total",
        "Tunnels that were open and have ended, by reason.",
        _one_label(ledger.closed_by_reason),
        "reason",
    )
    yield _counter(
        "konnect_dials_failed_total",
        "Dials that failed, by reason; each dial counts once.",
        _one_label(ledger.failed_by_reason),
        "reason",
    )
    yield _counter(
        "konnect_bytes_total",
        "Bytes carried by tunnels, by direction.",
        _one_label(ledger.bytes),
        "direction",
    )
    yield _counter(
        "konnect_malformed_packets_total",
        "Packets that were refused because they could not be what they claimed to be.",
        {(): ledger.malformed_packets},
    )


def _one_label(counts: Mapping[str, float]) -> _Counts:
    return {(label,): count for label, count in counts.items()}


def _gauge(name: str, text: str, counts: _Counts, *labels: str) -> Metric:
    return _family(Metric(name, text, "gauge"), counts, labels)


def _counter(name: str, text: str, counts: _Counts, *labels: str) -> Metric:
    return _family(Metric(name, text, "counter"), counts, labels)


def _family(metric: Metric, counts: _Counts, labels: Iterable[str]) -> Metric:
    for values, count in sorted(counts.items()):
        metric.add_sample(metric.name, dict(zip(labels, values, strict=True)), count)
    return metric


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    metric = Metric(name, text, "histogram")
    totals = list(accumulate(histogram.counts))
    bounds = [number(bound) for bound in histogram.bounds] + ["+Inf"]
    for bound, total in zip(bounds, totals, strict=True):
        metric.add_sample(name + "_bucket", {"le": bound}, total)
    metric.add_sample(name + "_sum", {}, histogram.sum)
    metric.add_sample(name + "_count", {}, totals[-1])
    return metric
