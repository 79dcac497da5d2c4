"""Bounded waits on the real reactor, and what is open in this process right now."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

PATIENCE = 20.0
"""Bound of every wait, in seconds. Generous: a busy machine is no failure."""

POLL = 0.004

T = TypeVar("T")


def the_reactor() -> Any:
    """The reactor that trial runs; imported late, so that `--reactor` is obeyed."""
    from twisted.internet import reactor

    return reactor


def pause(seconds: float) -> Deferred[None]:
    """Let the reactor run on."""
    return deferLater(the_reactor(), seconds)


async def turns(count: int = 3) -> None:
    """Let the reactor do everything that is ready to be done, `count` times over."""
    for _ in range(count):
        await pause(0)


async def until(seen: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Poll `seen` until it gives something true, and return that; else fail, naming `what`."""
    deadline = time.monotonic() + seconds
    while True:
        value = seen()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come within {seconds:g} s: {what}")
        await pause(POLL)


async def steady(measure: Callable[[], int], what: str) -> int:
    """Wait until a counter has not moved for a good while, and return it."""
    last, same = measure(), 0
    for _ in range(2000):
        await pause(0.02)
        now = measure()
        same = same + 1 if now == last else 0
        last = now
        if same >= 20:
            return now
    raise AssertionError(f"never came to rest: {what}")


def descriptors() -> dict[int, str]:
    """This process's open file descriptors, by what they are."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the listing's own
    return found


def delayed_calls() -> list[Any]:
    """The reactor's delayed calls, without those by which trial itself limits a test."""
    calls = the_reactor().getDelayedCalls()
    return [
        call
        for call in calls
        if not getattr(call.func, "__module__", "").startswith("twisted.trial")
    ]
