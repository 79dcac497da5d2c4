"""Tests of konnect.tunnel.api_calls."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.api_calls import ApiCalls


class ApiCallsTests(SynchronousTestCase):
    """The book of calls."""

    def test_counts(self) -> None:
        """Calls are counted by verb, code and reason; a verb that was never used has none."""
        calls = ApiCalls((1.0,))
        calls.count("list", 200, "", 0.5)
        calls.count("list", 200, "", 0.5)
        calls.count("list", 410, "Expired", 0.5)
        self.assertEqual(dict(calls.counts("list")), {("200", ""): 2, ("410", "Expired"): 1})
        self.assertEqual(dict(calls.counts("delete")), {})

    def test_seconds(self) -> None:
        """Latencies are kept for each verb and code, whatever the reason."""
        calls = ApiCalls((1.0,))
        calls.count("delete", 409, "Conflict", 0.5)
        calls.count("delete", 409, "", 2.0)
        observed = calls.seconds("delete")
        self.assertEqual(list(observed), [("409",)])
        self.assertEqual(observed["409",].counts, [1, 1])
        self.assertEqual(dict(calls.seconds("list")), {})
