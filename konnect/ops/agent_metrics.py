"""The agent's metrics under upstream's names, read from its ledger."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from konnect.ops.families import counter, gauge, histogram, labelled_histogram, one_label
from konnect.ops.own_metrics import LinkStates, WaitingBytes, own_metrics
from konnect.ops.stream_metrics import streams
from konnect.tunnel.ledger import Ledger

AGENT = "konnectivity_network_proxy_agent_"


class AgentCollector(Collector):
    """Reads an agent's ledger."""

    def __init__(self, ledger: Ledger, links: LinkStates, waiting: WaitingBytes) -> None:
        self._ledger = ledger
        self._links = links
        self._waiting = waiting

    def collect(self) -> Iterator[Metric]:
        ledger = self._ledger
        yield histogram(
            AGENT + "dial_duration_seconds",
            "Latency of dial to the remote endpoint in seconds",
            ledger.dial_seconds,
        )
        yield counter(
            AGENT + "endpoint_dial_failure_total",
            "Number of failures dialing the remote endpoint, by reason (example: timeout).",
            one_label(ledger.endpoint_dial_failures),
            "reason",
        )
        opened = ledger.open_server_connections
        yield gauge(
            AGENT + "open_server_connections",
            "Current number of open server connections.",
            {} if opened is None else {(): opened},
        )
        yield gauge(
            AGENT + "known_server_count",
            "Current number of servers agent is trying to connect to.",
            {(): ledger.known_server_count},
        )
        yield gauge(
            AGENT + "open_endpoint_connections",
            "Current number of open endpoint connections.",
            {(): ledger.open_endpoint_connections},
        )
        yield counter(
            AGENT + "server_connection_failure_count",
            "Count of failures to send to or receive from the proxy server, labeled by the"
            " direction (from_server or to_server)."
            " DEPRECATED, please use stream_events_error_total",
            one_label(ledger.server_connection_failures),
            "direction",
        )
        yield gauge(
            "konnect_proxies",
            "Proxies by state: connected (linked now), expected (as many as there should be),"
            " known (met in the last ten minutes).",
            one_label(ledger.proxies),
            "state",
        )
        yield from _leases(ledger)
        yield from streams(AGENT, ledger)
        yield from own_metrics(ledger, self._links, self._waiting)


def _leases(ledger: Ledger) -> Iterator[Metric]:
    """The lease counter's calls of the API server. Upstream counts WATCH as LIST; here each is
    itself."""
    for verb in ("list", "watch"):
        plural = "lists" if verb == "list" else "watches"
        yield counter(
            f"{AGENT}lease_{plural}_total",
            f"Count of server lease {verb} calls made by the agent to the k8s apiserver,"
            " labeled by HTTP response code and reason",
            ledger.lease_calls.counts(verb),
            "http_response_code",
            "reason",
        )
    yield labelled_histogram(
        f"{AGENT}lease_list_latency_seconds",
        "Latency of server lease listing in seconds",
        ledger.lease_calls.seconds("list"),
        "http_response_code",
    )
