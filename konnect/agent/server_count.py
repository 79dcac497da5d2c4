"""How many proxies there are, as far as an agent is told."""

from __future__ import annotations

from collections.abc import Callable

from konnect.log import make_logger

log = make_logger(__name__)

PLAUSIBLE = 64
"""Proxies that there may well be. A higher count counts too, but mostly it is a mistake, and nobody
is looked for without end for its sake."""

_NAMED = 16
"""Proxies that are named for their count; others say the same."""


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
        self._named: set[str] = set()

    def told(self, count: int, proxy: str) -> None:
        """A proxy has said how many there are; the newest word counts."""
        self._told = count
        if count > PLAUSIBLE and proxy not in self._named and len(self._named) < _NAMED:
            self._named.add(proxy)
            log.warn(
                "proxy {proxy} says that there are {count} proxies (--server-count): with so many"
                " the search slows down before it has met all",
                proxy=proxy,
                count=count,
            )

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
