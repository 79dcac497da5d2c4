"""What was done in a storm, and when: so that whoever finds something wrong sees what led there."""

from __future__ import annotations

import time
from collections import deque

DISASTERS = 100
OTHERS = 100
"""Entries of each kind that are kept: the latest."""


class Story:
    """The latest of what was done, in order of time; nothing is added once it is frozen."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._disasters: deque[tuple[float, str]] = deque(maxlen=DISASTERS)
        self._others: deque[tuple[float, str]] = deque(maxlen=OTHERS)
        self._frozen = False

    def disaster(self, what: str) -> None:
        """Something that concerns many tunnels."""
        self._add(self._disasters, what)

    def note(self, what: str) -> None:
        """Something that a client or a destination does."""
        self._add(self._others, what)

    def freeze(self) -> None:
        """The first thing has gone wrong: what follows would only push out what led there."""
        self._frozen = True

    def _add(self, entries: deque[tuple[float, str]], what: str) -> None:
        if not self._frozen:
            entries.append((time.monotonic() - self._begun, what))

    def __str__(self) -> str:
        entries = sorted([*self._disasters, *self._others])
        return "\n".join(f"{seconds:9.3f} s  {what}" for seconds, what in entries)
