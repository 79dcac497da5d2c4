"""Metrics have upstream's names, help texts, labels and buckets, and the ledger's values."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from konnect.ops.metrics import agent_metrics, proxy_metrics
from konnect.tunnel.ledger import Ledger

S = "konnectivity_network_proxy_server_"
A = "konnectivity_network_proxy_agent_"

# Facts that dashboards and upstream's own test suites match byte for byte.
PROXY_FAMILIES = {
    "connection_duration_seconds": (
        "histogram",
        "Duration in seconds a proxied end-to-end connection was established (post-dial)"
        " before being closed.",
    ),
    "culled_leases_count": (
        "counter",
        "Count of expired leases that the lease garbage collection controller has culled.",
    ),
    "dial_duration_seconds": (
        "histogram",
        "Latency of dial to the remote endpoint in seconds",
    ),
    "dial_failure_count": (
        "counter",
        "Number of dial failures observed. Multiple failures can occur for a single dial request.",
    ),
    "established_connections": (
        "gauge",
        "Current number of established end-to-end connections (post-dial).",
    ),
    "frontend_write_duration_seconds": (
        "histogram",
        "Latency of write to the frontend in seconds",
    ),
    "full_receive_channels": (
        "gauge",
        "Number of current connections blocked by a full receive channel,"
        " partitioned by service method.",
    ),
    "grpc_connections": (
        "gauge",
        "Number of current grpc connections, partitioned by service method.",
    ),
    "http_connections": ("gauge", "Number of current HTTP CONNECT connections"),
    "lease_delete_latency_seconds": (
        "histogram",
        "Latency of lease deletion calls by the garbage collection controller in seconds.",
    ),
    "lease_delete_total": (
        "counter",
        "Count of lease delection calls by the garbage collection controller."
        " Labeled by HTTP status code and reason.",
    ),
    "lease_list_latency_seconds": (
        "histogram",
        "Latency of lease list calls by the garbage collection controller in seconds.",
    ),
    "lease_list_total": (
        "counter",
        "Count of lease deletion calls by the garbage collection controller."
        " Labeled by HTTP status code and reason.",
    ),
    "pending_backend_dials": ("gauge", "Current number of pending backend dial requests"),
    "ready_backend_connections": (
        "gauge",
        "Number of konnectivity agent connected to the proxy server."
        " DEPRECATED, please use ready_backends",
    ),
    "ready_backends": ("gauge", "Number of konnectivity agent connected to the proxy server"),
    "stream_errors_total": (
        "counter",
        "Count of gRPC stream errors, by segment, grpc Code, packet type."
        " (example: from_agent, Code.Unavailable, DIAL_RSP)",
    ),
    "stream_packets_total": (
        "counter",
        "Count of packets processed, by segment and packet type (example: from_client, DIAL_REQ)",
    ),
}
AGENT_FAMILIES = {
    "dial_duration_seconds": PROXY_FAMILIES["dial_duration_seconds"],
    "endpoint_dial_failure_total": (
        "counter",
        "Number of failures dialing the remote endpoint, by reason (example: timeout).",
    ),
    "known_server_count": (
        "gauge",
        "Current number of servers agent is trying to connect to.",
    ),
    "lease_list_latency_seconds": ("histogram", "Latency of server lease listing in seconds"),
    "lease_lists_total": (
        "counter",
        "Count of server lease list calls made by the agent to the k8s apiserver,"
        " labeled by HTTP response code and reason",
    ),
    "lease_watches_total": (
        "counter",
        "Count of server lease watch calls made by the agent to the k8s apiserver,"
        " labeled by HTTP response code and reason",
    ),
    "open_endpoint_connections": ("gauge", "Current number of open endpoint connections."),
    "open_server_connections": ("gauge", "Current number of open server connections."),
    "server_connection_failure_count": (
        "counter",
        "Count of failures to send to or receive from the proxy server, labeled by the direction"
        " (from_server or to_server). DEPRECATED, please use stream_events_error_total",
    ),
    "stream_errors_total": PROXY_FAMILIES["stream_errors_total"],
    "stream_packets_total": PROXY_FAMILIES["stream_packets_total"],
}


def busy_ledger(*, agent: bool = False) -> Ledger:
    """A ledger in which something has been written everywhere."""
    ledger = Ledger(lambda: 0.0, agent=agent)
    ledger.closed_by_reason["client_closed"] = 2
    ledger.failed_by_reason["refused"] = 1
    ledger.pending_dials = 4
    ledger.dial_failures["no_agent"] = 7
    ledger.packets.cell("from_client", "DIAL_REQ")[0] = 8
    ledger.stream_errors["from_agent", "Unavailable", "Unknown"] = 1
    ledger.grpc_streams.update(Proxy=3, Connect=1)
    ledger.full_receive_channels["Proxy"] = 1
    ledger.http_connections = 6
    ledger.ready_backends.update(default=2, destHost=3)
    ledger.bytes.update(to_destination=10, to_client=2**60)
    ledger.log_lines_lost["stderr"] = 12
    ledger.malformed_packets = 9
    ledger.endpoint_dial_failures["timeout"] = 2
    ledger.open_server_connections = 1
    ledger.open_endpoint_connections = 3
    ledger.server_connection_failures["from_server"] = 4
    ledger.culled_leases = 2
    for verb in ("list", "delete", "watch"):
        ledger.lease_calls.count(verb, 404, "NotFound", 0.2)
    ledger.reactor_lag.observe(0.003)
    for seconds in (0.000001, 0.3, 0.5, 100):
        ledger.dial_seconds.observe(seconds)
    for seconds in (2, 2):
        ledger.connection_seconds.observe(seconds)
    return ledger


def links() -> dict[str, int]:
    """States of links."""
    return {"ready": 2, "draining": 0}


def lines_of(text: bytes) -> list[str]:
    """The lines of an exposition."""
    return text.decode().splitlines()


class FamilyTests(SynchronousTestCase):
    """What is exposed."""

    def check(self, text: bytes, prefix: str, families: dict[str, tuple[str, str]]) -> None:
        """Exactly these families of upstream's, each with its help and type right before it."""
        lines = [line for line in lines_of(text) if line.startswith("# ") and prefix in line]
        expected = []
        for name, (kind, words) in families.items():
            expected += [f"# HELP {prefix}{name} {words}", f"# TYPE {prefix}{name} {kind}"]
        self.assertEqual(lines, expected)

    def test_proxy(self) -> None:
        """The proxy's names, help texts and types."""
        self.check(proxy_metrics(busy_ledger(), links)(), S, PROXY_FAMILIES)

    def test_agent(self) -> None:
        """The agent's names, help texts and types."""
        self.check(agent_metrics(busy_ledger(agent=True), links)(), A, AGENT_FAMILIES)

    def test_from_the_start(self) -> None:
        """Before any traffic upstream's first families are there, and none without a sample."""
        ledger = Ledger(lambda: 0.0)
        ledger.ready_backends["default"] = 0
        lines = lines_of(proxy_metrics(ledger, links)())
        for name in ("http_connections", "ready_backend_connections", "culled_leases_count"):
            self.assertIn(f"{S}{name} 0", lines)
        self.assertIn(f'{S}ready_backends{{proxy_strategy="default"}} 0', lines)
        self.assertFalse([line for line in lines if "stream_errors" in line])
        lines = lines_of(agent_metrics(Ledger(lambda: 0.0, agent=True), links)())
        self.assertIn(f"{A}known_server_count 1", lines)
        self.assertFalse([line for line in lines if "open_server_connections" in line])

    def test_the_process(self) -> None:
        """The process's own figures are there, as upstream has them."""
        lines = lines_of(proxy_metrics(busy_ledger(), links)())
        for name in ("process_open_fds gauge", "process_cpu_seconds_total counter"):
            self.assertIn(f"# TYPE {name}", lines)
        self.assertIn("# TYPE python_info gauge", lines)
        self.assertIn("# TYPE python_gc_collections_total counter", lines)

    def test_others_can_read_it(self) -> None:
        """prometheus-client's own parser takes every line."""
        for text in (
            proxy_metrics(busy_ledger(), links)(),
            agent_metrics(busy_ledger(agent=True), links)(),
        ):
            samples = sum(
                len(family.samples) for family in text_string_to_metric_families(text.decode())
            )
            self.assertEqual(samples, len([x for x in lines_of(text) if not x.startswith("#")]))


class ValueTests(SynchronousTestCase):
    """What the samples say."""

    def test_proxy(self) -> None:
        """Values and labels of the proxy's samples."""
        lines = lines_of(proxy_metrics(busy_ledger(), links)())
        for sample in (
            'dial_failure_count{reason="no_agent"} 7',
            "culled_leases_count 2",
            "established_connections 2",
            'full_receive_channels{service_method="Proxy"} 1',
            'grpc_connections{service_method="Connect"} 1',
            'grpc_connections{service_method="Proxy"} 3',
            "http_connections 6",
            'lease_delete_latency_seconds_bucket{http_status_code="404",le="0.1"} 0',
            'lease_delete_latency_seconds_bucket{http_status_code="404",le="0.25"} 1',
            'lease_delete_total{http_status_code="404",reason="NotFound"} 1',
            'lease_list_latency_seconds_count{http_status_code="404"} 1',
            'lease_list_total{http_status_code="404",reason="NotFound"} 1',
            "pending_backend_dials 4",
            "ready_backend_connections 3",
            'ready_backends{proxy_strategy="default"} 2',
            'ready_backends{proxy_strategy="destHost"} 3',
            'stream_errors_total{code="Unavailable",packet_type="Unknown",segment="from_agent"} 1',
            'stream_packets_total{packet_type="DIAL_REQ",segment="from_client"} 8',
        ):
            self.assertIn(S + sample, lines)

    def test_agent(self) -> None:
        """Values and labels of the agent's samples."""
        lines = lines_of(agent_metrics(busy_ledger(agent=True), links)())
        for sample in (
            'endpoint_dial_failure_total{reason="timeout"} 2',
            "known_server_count 1",
            'lease_list_latency_seconds_bucket{http_response_code="404",le="0.5"} 1',
            'lease_lists_total{http_response_code="404",reason="NotFound"} 1',
            'lease_watches_total{http_response_code="404",reason="NotFound"} 1',
            'server_connection_failure_count{direction="from_server"} 4',
            "open_endpoint_connections 3",
            "open_server_connections 1",
            'stream_packets_total{packet_type="DIAL_REQ",segment="from_client"} 8',
        ):
            self.assertIn(A + sample, lines)

    def test_proxies_of_an_agent(self) -> None:
        """An agent says how many proxies are connected, expected and known."""
        ledger = Ledger(lambda: 0.0, agent=True)
        ledger.proxies = {"connected": 1, "expected": 3, "known": 2}
        lines = lines_of(agent_metrics(ledger, links)())
        for state, number in ledger.proxies.items():
            self.assertIn(f'konnect_proxies{{state="{state}"}} {number}', lines)

    def test_ours(self) -> None:
        """Ours are with both programs."""
        for text in (
            proxy_metrics(busy_ledger(), links)(),
            agent_metrics(busy_ledger(agent=True), links)(),
        ):
            lines = lines_of(text)
            for sample in (
                "konnect_tunnels_opened_total 4",
                'konnect_tunnels_closed_total{reason="client_closed"} 2',
                'konnect_dials_failed_total{reason="refused"} 1',
                'konnect_bytes_total{direction="to_destination"} 10',
                'konnect_bytes_total{direction="to_client"} 1.152921504606847e+18',
                "konnect_malformed_packets_total 9",
                'konnect_links{state="ready"} 2',
                'konnect_links{state="draining"} 0',
                'konnect_log_lines_lost_total{where="stderr"} 12',
                'konnect_log_lines_lost_total{where="files"} 0',
                'konnect_reactor_lag_seconds_bucket{le="0.001"} 0',
                'konnect_reactor_lag_seconds_bucket{le="0.005"} 1',
            ):
                self.assertIn(sample, lines)

    def test_openings(self) -> None:
        """A proxy says how many clients' connections it had, and how many said something new."""
        text = proxy_metrics(busy_ledger(), links, openings=lambda: (70, 3))()
        lines = lines_of(text)
        self.assertIn("konnect_openings_total 70", lines)
        self.assertIn("konnect_openings_read_anew_total 3", lines)

    def test_histograms(self) -> None:
        """Buckets are upstream's, counted up to their bound; sum and count follow."""
        lines = lines_of(proxy_metrics(busy_ledger(), links)())
        counts = {"1e-06": 1, "1e-05": 1, "0.0001": 1, "0.005": 1, "0.025": 1, "0.1": 1}
        counts |= {"0.5": 3, "2.5": 3, "12.5": 3, "+Inf": 4}
        expected = [f'bucket{{le="{bound}"}} {count}' for bound, count in counts.items()]
        expected += ["sum 100.800001", "count 4"]
        start = lines.index(f"# TYPE {S}dial_duration_seconds histogram") + 1
        self.assertEqual(
            lines[start : start + 12], [f"{S}dial_duration_seconds_{line}" for line in expected]
        )

    def test_frontend_writes(self) -> None:
        """What waited and what did not, by what the ledger tells of both."""
        ledger = busy_ledger()
        ledger.frontend_waits.observe(0.2)
        lines = lines_of(proxy_metrics(ledger, links)())
        # Four tunnels opened, two ended.
        for sample in ('bucket{le="1e-06"} 5', 'bucket{le="0.5"} 6', "sum 0.2", "count 6"):
            self.assertIn(f"{S}frontend_write_duration_seconds_{sample}", lines)

    def test_read_at_scrape(self) -> None:
        """A scrape shows the ledger as it is then, and two programs in one process do not mix."""
        ledger, other = Ledger(lambda: 0.0), Ledger(lambda: 0.0)
        text, others = proxy_metrics(ledger, links), proxy_metrics(other, links)
        ledger.http_connections = 1
        self.assertIn(f"{S}http_connections 1", lines_of(text()))
        self.assertIn(f"{S}http_connections 0", lines_of(others()))
        ledger.http_connections = 0
        self.assertIn(f"{S}http_connections 0", lines_of(text()))
