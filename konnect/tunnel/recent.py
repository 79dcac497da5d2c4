"""The ids of tunnels that have ended lately: what still comes for them is late, and no mistake.

They are the keys of a plain dict, which costs each stream less than an object of its own.
"""

from __future__ import annotations


def remember(ids: dict[int, None], connect_id: int, limit: int) -> None:
    """Add an id, and forget the oldest if there are more than `limit` then."""
    ids[connect_id] = None
    if len(ids) > limit:
        del ids[next(iter(ids))]
