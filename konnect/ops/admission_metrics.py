"""The proxy's metrics of agents that want to be admitted, and of their tokens."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from konnect.ops.families import counter, gauge, histogram, one_label
from konnect.tunnel.ledger import Ledger


def admission_metrics(ledger: Ledger) -> Iterator[Metric]:
    """What a proxy's ledger says of them."""
    yield counter(
        "konnect_agents_refused_total",
        "Agents that were not admitted, by the gRPC code that they were told.",
        one_label(ledger.agents_refused),
        "code",
    )
    yield counter(
        "konnect_token_reviews_total",
        "Agents' tokens, by what came of their review.",
        one_label(ledger.token_reviews),
        "result",
    )
    yield gauge(
        "konnect_token_reviews_pending",
        "Agents' tokens that are under review or wait for it.",
        {(): ledger.pending_token_reviews},
    )
    yield histogram(
        "konnect_token_review_seconds",
        "Latency of token reviews in seconds, without the wait for their turn.",
        ledger.token_review_seconds,
    )
