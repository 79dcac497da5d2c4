"""How many proxies there are, as far as an agent is told."""

from __future__ import annotations

from collections.abc import Callable


class ServerCount:
    """
    The number of proxies to be linked to.

    :param source: `--server-count-source`: with `max` the larger of what proxies say and what
        leases say, else leases alone where they are counted.
    :param leases: the number of leases; None where they are not counted.
    """

    def __init__(self, source: str = "default", leases: Callable[[], int] | None = None) -> None:
        self._source = source
        self._leases = leases
        self._told = 1

    def told(self, count: int) -> None:
        """A proxy has said how many there are; the newest word counts."""
        self._told = count

    @property
    def value(self) -> int:
        """At least 1: a count below would mean "never enough" (upstream) or "none", and neither
        is of use."""
        if self._leases is None:
            count = self._told
        elif self._source == "max":
            count = max(self._told, self._leases())
        else:
            count = self._leases()
        return max(count, 1)
