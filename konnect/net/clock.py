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
    """
    offset = reactor.seconds() - monotonic()
    reactor.seconds = lambda: offset + monotonic()
