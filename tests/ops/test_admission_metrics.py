"""Tests of konnect.ops.admission_metrics."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.ops.metrics import proxy_metrics
from konnect.tunnel.ledger import Ledger


class AdmissionMetricsTests(SynchronousTestCase):
    def test_values(self) -> None:
        """A scrape of a proxy tells of refused agents, of tokens and of their reviews."""
        ledger = Ledger(lambda: 0.0)
        ledger.agents_refused["Unauthenticated"] = 2
        ledger.token_reviews["accepted"] = 3
        ledger.pending_token_reviews = 4
        ledger.token_review_seconds.observe(0.2)
        lines = proxy_metrics(ledger, dict)().decode().splitlines()
        for sample in (
            'konnect_agents_refused_total{code="Unauthenticated"} 2',
            'konnect_token_reviews_total{result="accepted"} 3',
            "konnect_token_reviews_pending 4",
            'konnect_token_review_seconds_bucket{le="0.1"} 0',
            'konnect_token_review_seconds_bucket{le="0.25"} 1',
        ):
            self.assertIn(sample, lines)
