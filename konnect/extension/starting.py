"""
Whether the program has been told to end while it starts.

No reactor runs then, so a plugin that has to wait for something at the start looks here meanwhile
(many times a second if it likes), and gives up with the error that it has for its settings.
"""

from __future__ import annotations

_told = False


def told_to_end() -> bool:
    """Whether nothing is to be waited for any more. After the start: no."""
    return _told


def tell(told: bool) -> None:
    """The program's part: it has been told to end, or the start is over."""
    global _told
    _told = told
