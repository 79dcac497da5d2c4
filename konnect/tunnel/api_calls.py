"""Calls of a Kubernetes API server as metrics count them: by verb, status code and reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from konnect.tunnel.histogram import Histogram


class ApiCalls:
    """
    What one program asked an API server for.

    :param bounds: of the latencies' buckets, in seconds.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts: dict[str, dict[tuple[str, str], int]] = defaultdict(lambda: defaultdict(int))
        self._seconds: dict[str, dict[tuple[str], Histogram]] = defaultdict(dict)

    def count(self, verb: str, code: int, reason: str, seconds: float) -> None:
        """
        One call is over.

        :param verb: `list`, `watch` or `delete`.
        :param code: the answer's HTTP status; 0: there was none.
        :param reason: the answer's Kubernetes status reason (`NotFound`), empty on success.
        :param seconds: from the call to its answer.
        """
        self._counts[verb][str(code), reason] += 1
        observed = self._seconds[verb]
        label = (str(code),)
        if label not in observed:
            observed[label] = Histogram(self._bounds)
        observed[label].observe(seconds)

    def counts(self, verb: str) -> Mapping[tuple[str, str], int]:
        """By (code, reason), how many calls there were."""
        return self._counts.get(verb, {})

    def seconds(self, verb: str) -> Mapping[tuple[str], Histogram]:
        """By (code,), how long they took."""
        return self._seconds.get(verb, {})
