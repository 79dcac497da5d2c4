"""Every metric has its labels and buckets here, and its place in docs/operations.md."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from konnect.ops.metrics import agent_metrics, proxy_metrics
from konnect.tunnel.ledger import Ledger
from tests.ops.test_metrics import AGENT_FAMILIES, PROXY_FAMILIES, A, S, busy_ledger, links

DOCS = Path(__file__).parents[2] / "docs/operations.md"

_LABEL = re.compile(r'[{,]([a-z_]+)="([^"]*)"')

Found = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""Labels and buckets by name."""

CALL = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf")
DIAL = ("1e-06", "1e-05", "0.0001", "0.005", "0.025", "0.1", "0.5", "2.5", "12.5", "+Inf")
AGENT_DIAL = ("0.005", "0.025", "0.1", "0.5", "2.5", "10", "30", "+Inf")
LIFE = ("1", "5", "15", "30", "60", "300", "900", "1800", "3600", "14400", "43200", "86400", "+Inf")
LAG = ("0.001", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "10", "+Inf")

CODE = ("http_status_code",)
STREAMS: Found = {
    "stream_errors_total": (("code", "packet_type", "segment"), ()),
    "stream_packets_total": (("packet_type", "segment"), ()),
}
PROXY: Found = {
    "connection_duration_seconds": ((), LIFE),
    "culled_leases_count": ((), ()),
    "dial_duration_seconds": ((), DIAL),
    "dial_failure_count": (("reason",), ()),
    "established_connections": ((), ()),
    "frontend_write_duration_seconds": ((), DIAL),
    "full_receive_channels": (("service_method",), ()),
    "grpc_connections": (("service_method",), ()),
    "http_connections": ((), ()),
    "lease_delete_latency_seconds": (CODE, CALL),
    "lease_delete_total": ((*CODE, "reason"), ()),
    "lease_list_latency_seconds": (CODE, CALL),
    "lease_list_total": ((*CODE, "reason"), ()),
    "pending_backend_dials": ((), ()),
    "ready_backend_connections": ((), ()),
    "ready_backends": (("proxy_strategy",), ()),
    **STREAMS,
}
AGENT: Found = {
    "dial_duration_seconds": ((), AGENT_DIAL),
    "endpoint_dial_failure_total": (("reason",), ()),
    "known_server_count": ((), ()),
    "lease_list_latency_seconds": (("http_response_code",), AGENT_DIAL),
    "lease_lists_total": (("http_response_code", "reason"), ()),
    "lease_watches_total": (("http_response_code", "reason"), ()),
    "open_endpoint_connections": ((), ()),
    "open_server_connections": ((), ()),
    "server_connection_failure_count": (("direction",), ()),
    **STREAMS,
}
CLIENT: Found = {
    "client_connections": (("status",), ()),
    "dial_failure_total": (("reason",), ()),
    **STREAMS,
}
OURS: Found = {
    "konnect_buffered_bytes": ((), ()),
    "konnect_grown_window_bytes": ((), ()),
    "konnect_bytes_total": (("direction",), ()),
    "konnect_certificate_expiry_timestamp_seconds": (("file", "kind", "tls"), ()),
    "konnect_cut_total": (("reason",), ()),
    "konnect_dials_failed_total": (("reason",), ()),
    "konnect_links": (("state",), ()),
    "konnect_log_lines_lost_total": (("where",), ()),
    "konnect_links_blocked": ((), ()),
    "konnect_malformed_packets_total": ((), ()),
    "konnect_pace_brisk": ((), ()),
    "konnect_reactor_lag_seconds": ((), LAG),
    "konnect_tls_renewals_total": (("result",), ()),
    "konnect_tunnels_closed_total": (("reason",), ()),
    "konnect_tunnels_opened_total": ((), ()),
    "konnect_waiting_bytes": (("where",), ()),
}
OURS_AT_A_PROXY: Found = {
    "konnect_agents_refused_total": (("code",), ()),
    "konnect_dials_retried_total": (("cause",), ()),
    "konnect_openings_read_anew_total": ((), ()),
    "konnect_openings_total": ((), ()),
    "konnect_token_review_seconds": ((), CALL),
    "konnect_token_reviews_pending": ((), ()),
    "konnect_token_reviews_total": (("result",), ()),
}
OURS_AT_AN_AGENT: Found = {"konnect_proxies": (("state",), ())}


def full_ledger(*, agent: bool = False) -> Ledger:
    """A ledger of which every family has a sample."""
    ledger = busy_ledger(agent=agent)
    ledger.dials_retried["agent_lost"] = 1
    ledger.cut["silent"] = 1
    ledger.certificate_ends["agents", "certificate", "a.crt"] = 1.0
    ledger.proxies = {"known": 1}
    ledger.agents_refused["Unauthenticated"] = 1
    ledger.token_reviews["accepted"] = 1
    return ledger


def waiting() -> dict[str, int]:
    """What waits, by where."""
    return {"backlogs": 1}


def found(text: bytes, prefix: str) -> Found:
    """The families of an exposition whose names begin with `prefix`, without it."""
    families: Found = {}
    # prometheus-client's own parser appends `_total` to counters.
    for part in text.decode().split("# HELP ")[1:]:
        name, *samples = (line.partition(" ")[0] for line in part.splitlines())
        if name.startswith(prefix):
            labels = dict(pair for line in samples for pair in _LABEL.findall(line))
            bounds = dict.fromkeys(re.findall('[{,]le="([^"]*)"', " ".join(samples)))
            labels.pop("le", None)
            families[name.removeprefix(prefix)] = tuple(sorted(labels)), tuple(bounds)
    return families


def without_prefix(*families: Found) -> Found:
    """All of them, without the word that ours begin with."""
    return {
        name.removeprefix("konnect_"): facts for each in families for name, facts in each.items()
    }


def documented(header: str) -> dict[str, tuple[str, ...] | None]:
    """The metrics of the tables with this word in their first column, and their labels, if they
    are given."""
    names: dict[str, tuple[str, ...] | None] = {}
    inside = False
    for line in DOCS.read_text().splitlines():
        cells = line.split(" | ")
        if not line.startswith("|"):
            inside = False
        elif header in cells[0]:
            inside = True
        elif inside:
            for name, labels in re.findall(r"`([a-z_]+)(?:\{([a-z_,]+)\})?`", cells[0]):
                names[name] = tuple(sorted(labels.split(","))) if labels else None
    return names


class NameTests(SynchronousTestCase):
    """What is exposed when everything has happened once."""

    def setUp(self) -> None:
        self.proxy = proxy_metrics(full_ledger(), links, waiting)()
        self.agent = agent_metrics(full_ledger(agent=True), links, waiting)()

    def test_labels_and_buckets(self) -> None:
        """Those of each family."""
        self.assertEqual(found(self.proxy, S), PROXY)
        self.assertEqual(found(self.agent, A), AGENT)
        self.assertEqual(found(self.proxy, "konnect_"), without_prefix(OURS, OURS_AT_A_PROXY))
        self.assertEqual(found(self.agent, "konnect_"), without_prefix(OURS, OURS_AT_AN_AGENT))

    def test_help_texts(self) -> None:
        """Each of upstream's has its text in the other tests; ours have one each too."""
        self.assertEqual(
            (PROXY.keys(), AGENT.keys()), (PROXY_FAMILIES.keys(), AGENT_FAMILIES.keys())
        )
        for text in (self.proxy, self.agent):
            for line in re.findall(r"# HELP konnect_.*", text.decode()):
                self.assertRegex(line, r"\A# HELP [a-z_]+ [A-Z01].*\.\Z")


class DocumentTests(SynchronousTestCase):
    """docs/operations.md."""

    def check(self, header: str, families: Found) -> None:
        """The tables with that word name these metrics and no others, and no wrong labels."""
        told = documented(header)
        self.assertEqual(told.keys(), families.keys())
        for name, labels in told.items():
            self.assertIn(labels, (None, families[name][0]), name)

    def test_upstreams(self) -> None:
        """The tables of upstream's."""
        self.check("konnectivity_network_proxy_server_", PROXY)
        self.check("konnectivity_network_proxy_agent_", AGENT)
        self.check("konnectivity_network_proxy_client_", CLIENT)

    def test_ours(self) -> None:
        """The table of ours, and what is told of elsewhere."""
        self.check("| metric", OURS | OURS_AT_A_PROXY | OURS_AT_AN_AGENT)
