"""Which proxies an agent has met lately, linked now or not."""

from __future__ import annotations

from collections.abc import Iterable

FORGET_AFTER = 600.0
"""Seconds after which a proxy that was not seen again is no longer known."""

MAX_KNOWN = 1024
"""Proxies that are known at most."""


class Census:
    """The proxies that are known; `len` is their number."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        """When each was seen last, by server id; the longest unseen first."""

    def __len__(self) -> int:
        return len(self._seen)

    def note(self, linked: Iterable[str], now: float) -> None:
        """See the proxies that are linked now, and forget those that are long gone."""
        seen = self._seen
        for server_id in linked:
            seen.pop(server_id, None)
            seen[server_id] = now
        while seen:
            oldest = next(iter(seen))
            if len(seen) <= MAX_KNOWN and now - seen[oldest] < FORGET_AFTER:
                break
            del seen[oldest]
