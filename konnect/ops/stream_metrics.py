"""Upstream's metrics of packets and streams, which both programs have."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from konnect.ops.families import counter
from konnect.tunnel.ledger import Ledger


def streams(prefix: str, ledger: Ledger) -> Iterator[Metric]:
    """The families of a program whose names begin with `prefix`."""
    yield counter(
        prefix + "stream_packets_total",
        "Count of packets processed, by segment and packet type (example: from_client, DIAL_REQ)",
        ledger.packets,
        "segment",
        "packet_type",
    )
    yield counter(
        prefix + "stream_errors_total",
        "Count of gRPC stream errors, by segment, grpc Code, packet type."
        " (example: from_agent, Code.Unavailable, DIAL_RSP)",
        ledger.stream_errors,
        "segment",
        "code",
        "packet_type",
    )
