"""SIGTERM and SIGINT: the first ends the program in order, the second at once. SIGHUP: read anew
what is on disk.

Twisted's own handlers would make twistd report the signal as its exit status; upstream's programs
exit 0 after an orderly stop, and so do ours.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from konnect.extension import starting
from konnect.log import make_logger

log = make_logger(__name__)

ENDING = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """
    :param hurry: called at the second signal; it must make the stop of the program immediate.
    :param reread: called at SIGHUP.
    :param exit_code: of a program that was hurried.
    """

    def __init__(
        self,
        reactor: Any,
        hurry: Callable[[], None],
        reread: Callable[[], None],
        exit_code: int,
    ) -> None:
        self._reactor = reactor
        self._reread = reread
        self._hurry = hurry
        self._exit_code = exit_code
        self._seen = 0
        self.early = ""
        """The signal to end that came while the program was starting; empty: none."""
        self._early_hang_up = False

    @contextmanager
    def starting(self) -> Iterator[None]:
        """
        Around the start, which may take its time before the reactor runs: signals are kept until
        then. One to end makes what the start waits for give up (`konnect.extension.starting`).

        Without this it would end the process where it stands, and do nothing at all to the first
        process of a container.
        """

        def remember(number: int, frame: FrameType | None) -> None:
            if number == signal.SIGHUP:
                self._early_hang_up = True
                return
            self.early = self.early or signal.Signals(number).name
            starting.tell(True)

        numbers = (*ENDING, signal.SIGHUP)
        before = {number: signal.signal(number, remember) for number in numbers}
        try:
            yield
        finally:
            starting.tell(False)
            for number, handler in before.items():
                signal.signal(number, handler)

    def install(self) -> None:
        """Take over the signals as soon as the reactor runs (it installs its own before)."""
        self._reactor.callWhenRunning(self._take_over)

    def _take_over(self) -> None:
        for number in ENDING:
            signal.signal(number, self._signalled)
        signal.signal(signal.SIGHUP, self._hung_up)
        if self._early_hang_up:
            self._reread()
        if self.early:
            self._act(self.early)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._act, signal.Signals(number).name)

    def _hung_up(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._reread)

    def _act(self, name: str) -> None:
        self._seen += 1
        if self._seen == 1:
            log.info("{name}: stopping; a second signal stops at once", name=name)
            self._reactor.stop()
        else:
            log.warn("{name} again: stopping at once", name=name)
            if self._exit_code:
                # The last thing of all: twistd ends with 0 whatever its services say, and it has a
                # pid file to remove before.
                atexit.register(_exit, self._exit_code)
            self._hurry()


def _exit(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
