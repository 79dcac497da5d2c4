"""konnect's own metrics, the same at both programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import Metric

from konnect.ops.families import counter, gauge, histogram, one_label
from konnect.tunnel.ledger import Ledger

LinkStates = Callable[[], Mapping[str, int]]
"""Asked at a scrape: how many links are in each state, those that none is in too."""


WaitingBytes = Callable[[], Mapping[str, int]]
"""Asked at a scrape: how many bytes wait, by place (`konnect.tunnel.waiting`)."""


def own_metrics(ledger: Ledger, links: LinkStates, waiting: WaitingBytes) -> Iterator[Metric]:
    """Those of one program, by its ledger, the states of its links, and what waits in it."""
    yield gauge("konnect_links", "Links now, by state.", one_label(links()), "state")
    yield gauge(
        "konnect_links_blocked",
        "Links whose peer has taken nothing for --stall-timeout while tunnels wait.",
        {(): ledger.blocked_links},
    )
    yield histogram(
        "konnect_reactor_lag_seconds",
        "How much later than asked for a timer ran: how long the event loop was held up.",
        ledger.reactor_lag,
    )
    yield counter(
        "konnect_log_lines_lost_total",
        "Log lines that were lost, by where to: stderr that nobody read, or files that could not be"
        " written.",
        one_label(ledger.log_lines_lost),
        "where",
    )
    yield gauge(
        "konnect_buffered_bytes",
        "Bytes of tunnels that wait here for slow readers.",
        {(): ledger.buffered},
    )
    yield gauge(
        "konnect_grown_window_bytes",
        "Bytes by which windows of tunnels are larger than announced.",
        {(): ledger.grown},
    )
    yield gauge(
        "konnect_waiting_bytes",
        "Bytes that wait in the process, by where.",
        one_label(waiting()),
        "where",
    )
    yield gauge(
        "konnect_pace_brisk",
        "1 while small messages pass and bulk moves in smaller pieces for their sake, else 0.",
        {(): int(ledger.brisk)},
    )
    yield counter(
        "konnect_tunnels_opened_total", "Tunnels whose dial succeeded.", {(): ledger.opened}
    )
    yield counter(
        "konnect_tunnels_closed_total",
        "Tunnels that were open and have ended, by reason.",
        one_label(ledger.closed_by_reason),
        "reason",
    )
    yield counter(
        "konnect_dials_failed_total",
        "Dials that failed, by reason; each dial counts once.",
        one_label(ledger.failed_by_reason),
        "reason",
    )
    yield counter(
        "konnect_bytes_total",
        "Bytes carried by tunnels, by direction.",
        one_label(ledger.bytes),
        "direction",
    )
    yield counter(
        "konnect_cut_total",
        "Connections and streams that were ended for what their peers did, by reason.",
        one_label(ledger.cut),
        "reason",
    )
    yield counter(
        "konnect_malformed_packets_total",
        "Packets that were refused because they could not be what they claimed to be.",
        {(): ledger.malformed_packets},
    )
    yield gauge(
        "konnect_certificate_expiry_timestamp_seconds",
        "When the certificates of a file end, in seconds since 1970, by whose TLS it belongs to.",
        ledger.certificate_ends,
        "tls",
        "kind",
        "file",
    )
    yield counter(
        "konnect_tls_renewals_total",
        "Changes of TLS files on disk, by result: taken, or failed (the old ones stay in use).",
        one_label(ledger.tls_renewals),
        "result",
    )
