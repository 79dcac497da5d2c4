"""Lets a signal end what the main thread waits for while no reactor runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupted_by(signals: tuple[signal.Signals, ...], stop: Callable[[], None]) -> Iterator[None]:
    """
    One of these signals calls `stop`, which must make the block end soon; what the signal would
    have done it does then.

    It raises nothing within: an exception between the begin of a process and the next line would
    leave that process to itself. In other threads than the main one nothing is done: the reactor
    runs, and hears of signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def signalled(number: int, frame: FrameType | None) -> None:
        came.append(number)
        stop()

    # An ignored signal stays ignored (nohup); None is a handler that is not Python's.
    before = {
        number: handler
        for number in signals
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number in before:
        signal.signal(number, signalled)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for one in came:
            signal.raise_signal(one)
