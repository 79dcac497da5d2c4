"""The proxy's metrics under upstream's names, read from its ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from konnect.ops.admission_metrics import admission_metrics
from konnect.ops.families import counter, gauge, histogram, labelled_histogram, one_label
from konnect.ops.own_metrics import LinkStates, WaitingBytes, own_metrics
from konnect.ops.stream_metrics import streams
from konnect.tunnel.ledger import Ledger

PROXY = "konnectivity_network_proxy_server_"

Openings = Callable[[], tuple[int, int]]
"""Asked at a scrape: connections of gRPC clients so far, and those that said something new."""


def no_openings() -> tuple[int, int]:
    """Of a proxy without gRPC clients."""
    return 0, 0


class ProxyCollector(Collector):
    """Reads a proxy's ledger."""

    def __init__(
        self, ledger: Ledger, links: LinkStates, waiting: WaitingBytes, openings: Openings
    ) -> None:
        self._ledger = ledger
        self._links = links
        self._waiting = waiting
        self._openings = openings

    def collect(self) -> Iterator[Metric]:
        ledger = self._ledger
        yield histogram(
            PROXY + "dial_duration_seconds",
            "Latency of dial to the remote endpoint in seconds",
            ledger.dial_seconds,
        )
        yield histogram(
            PROXY + "frontend_write_duration_seconds",
            "Latency of write to the frontend in seconds",
            ledger.frontend_writes,
        )
        yield histogram(
            PROXY + "connection_duration_seconds",
            "Duration in seconds a proxied end-to-end connection was established (post-dial)"
            " before being closed.",
            ledger.connection_seconds,
        )
        yield gauge(
            PROXY + "grpc_connections",
            "Number of current grpc connections, partitioned by service method.",
            one_label(ledger.grpc_streams),
            "service_method",
        )
        yield gauge(
            PROXY + "http_connections",
            "Number of current HTTP CONNECT connections",
            {(): ledger.http_connections},
        )
        yield gauge(
            PROXY + "ready_backend_connections",
            "Number of konnectivity agent connected to the proxy server."
            " DEPRECATED, please use ready_backends",
            # Upstream's is that of whichever strategy changed last; the largest is steadier.
            {(): max(ledger.ready_backends.values(), default=0)},
        )
        yield gauge(
            PROXY + "ready_backends",
            "Number of konnectivity agent connected to the proxy server",
            one_label(ledger.ready_backends),
            "proxy_strategy",
        )
        yield gauge(
            PROXY + "pending_backend_dials",
            "Current number of pending backend dial requests",
            {(): ledger.pending_dials},
        )
        yield gauge(
            PROXY + "established_connections",
            "Current number of established end-to-end connections (post-dial).",
            {(): ledger.live},
        )
        yield gauge(
            PROXY + "full_receive_channels",
            "Number of current connections blocked by a full receive channel,"
            " partitioned by service method.",
            one_label(ledger.full_receive_channels),
            "service_method",
        )
        yield counter(
            PROXY + "dial_failure_count",
            "Number of dial failures observed."
            " Multiple failures can occur for a single dial request.",
            one_label(ledger.dial_failures),
            "reason",
        )
        yield counter(
            PROXY + "culled_leases_count",
            "Count of expired leases that the lease garbage collection controller has culled.",
            {(): ledger.culled_leases},
        )
        yield counter(
            "konnect_dials_retried_total",
            "Dials for which a second agent was asked, by what was wrong with the first.",
            one_label(ledger.dials_retried),
            "cause",
        )
        begun, anew = self._openings()
        yield counter(
            "konnect_openings_total", "Connections that gRPC clients have made.", {(): begun}
        )
        yield counter(
            "konnect_openings_read_anew_total",
            "Connections of gRPC clients that said what none that is remembered had said.",
            {(): anew},
        )
        yield from _leases(ledger)
        yield from admission_metrics(ledger)
        yield from streams(PROXY, ledger)
        yield from own_metrics(ledger, self._links, self._waiting)


def _leases(ledger: Ledger) -> Iterator[Metric]:
    """The lease controller's calls of the API server: LIST and DELETE."""
    for verb, help_text in (
        (
            "delete",
            "Count of lease delection calls by the garbage collection controller."
            " Labeled by HTTP status code and reason.",
        ),
        (
            "list",
            # Upstream's text says deletion here too; suites compare it byte for byte.
            "Count of lease deletion calls by the garbage collection controller."
            " Labeled by HTTP status code and reason.",
        ),
    ):
        yield counter(
            f"{PROXY}lease_{verb}_total",
            help_text,
            ledger.lease_calls.counts(verb),
            "http_status_code",
            "reason",
        )
    for verb, word in (("delete", "deletion"), ("list", "list")):
        yield labelled_histogram(
            f"{PROXY}lease_{verb}_latency_seconds",
            f"Latency of lease {word} calls by the garbage collection controller in seconds.",
            ledger.lease_calls.seconds(verb),
            "http_status_code",
        )
