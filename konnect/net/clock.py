"""A reactor whose timers do not follow the machine's clock when somebody sets it.

Twisted's reactors measure time by `time.time()`. Where that is set back by an hour (a virtual
machine that is resumed or moved, a first time synchronisation), every timer waits an hour longer:
keepalives, dial limits, lingers, all of them at once. Set forward, all of them fire at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def steady(reactor: Any, monotonic: Callable[[], float] = time.monotonic) -> None:
    """
    Let `reactor.seconds` (IReactorTime) count on from now by the monotonic clock.

    It still starts from the time of day, so that delayed calls which exist already keep theirs.
    `elapsed_of` gives what it counts by.
    """
    offset = reactor.seconds() - monotonic()
    reactor.seconds = lambda: offset + monotonic()
    reactor.elapsed = monotonic


def elapsed_of(clock: Any) -> Callable[[], float]:
    """
    `clock.seconds` for who compares only its own times with each other: by a steady reactor without
    the beginning, and so without a call in Python, of which a tunnel would make three.
    """
    elapsed: Callable[[], float] | None = getattr(clock, "elapsed", None)
    return clock.seconds if elapsed is None else elapsed
