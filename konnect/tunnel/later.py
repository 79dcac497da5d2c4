"""How what knows no clock has something done later: whoever makes it gives it a `Later`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Delayed(Protocol):
    """A call that has not been made yet."""

    def cancel(self) -> None:
        """Never make it. Not for one that has been made."""


Later = Callable[[float, Callable[[], None]], Delayed]
"""Makes a call after so many seconds; what it returns can be cancelled until then."""
