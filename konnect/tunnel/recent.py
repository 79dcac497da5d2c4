"""The ids of tunnels that have ended lately: what still comes for them is late, and no mistake."""

from __future__ import annotations


class RecentIds:
    """A set that forgets its oldest above `limit`."""

    __slots__ = ("_ids", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ids: dict[int, None] = {}  # a dict, for its order

    def __contains__(self, connect_id: int) -> bool:
        return connect_id in self._ids

    def add(self, connect_id: int) -> None:
        """Remember an id."""
        ids = self._ids
        ids[connect_id] = None
        if len(ids) > self._limit:
            del ids[next(iter(ids))]

    def discard(self, connect_id: int) -> None:
        """Forget an id, if it is known."""
        self._ids.pop(connect_id, None)
