"""
Log lines to files, whether or not their disk takes them.

A disk that hangs (a dead network's, one that is being throttled) keeps whoever writes to it, and no
flag of a file changes that. So while the reactor runs a thread writes, and lines wait for it in a
bounded queue. What is too much for that is lost, counted, and told of where it is missing.

Before the reactor runs, and after it has stopped, there is nobody to be held up: a line is written
at once, unless the thread hangs by then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition, Thread

from konnect.app.log_files import SEVERITIES, LogFiles

WAITING = 1024 * 1024
"""Characters of lines that wait at most."""

WARNING = SEVERITIES.index("WARNING")

END_WITHIN = 1.0
"""Seconds for what waits when the reactor has stopped."""


class FileLines:
    """
    Lines to `files`. Any thread may write.

    :param failed: told of lines that were lost, how many and why (empty: as was said before).
    :param fine: told of those that were written.
    :param lost_text: the line that says how many are missing.
    """

    def __init__(
        self,
        files: LogFiles,
        failed: Callable[[int, str], None],
        fine: Callable[[], None],
        lost_text: Callable[[int], str],
    ) -> None:
        self._files = files
        self._failed = failed
        self._fine = fine
        self._lost_text = lost_text
        # Its lock may be taken twice: collecting garbage can log, at any moment.
        self._change = Condition()
        self._queue: deque[tuple[int, str]] = deque()
        self._waiting = 0
        self._missing = 0
        """Lines that were lost, all of them younger than those that wait."""
        self._missing_severity = WARNING
        self._thread: Thread | None = None
        self._over = False

    def write(self, severity: int, text: str) -> None:
        """Whole lines; never raises, and does not wait while the reactor runs."""
        if self._thread is None:
            self._write(severity, text)
            return
        lines, why = 0, ""
        with self._change:
            if self._missing and self._waiting <= WAITING // 2 and not self._over:
                self._tell_missing()
            if self._missing or self._over or self._waiting + len(text) > WAITING:
                # A slow disk could be reported with each line; the first report will do.
                why = "" if self._missing else "the disk does not take them"
                lines = text.count("\n")
                self._missing += lines
                self._missing_severity = max(self._missing_severity, severity)
            else:
                self._put(severity, text)
        if lines:
            self._failed(lines, why)

    def run(self) -> None:
        """The reactor runs: from now on nothing waits for a disk."""
        self._over = False
        self._thread = Thread(target=self._run, name="konnect log files", daemon=True)
        self._thread.start()

    def rest(self) -> None:
        """The reactor has stopped."""
        thread = self._thread
        if thread is None:
            return
        with self._change:
            if self._missing:
                self._tell_missing()
            self._over = True
            self._change.notify()
        thread.join(END_WITHIN)
        if not thread.is_alive():
            self._thread = None

    def close(self) -> None:
        """Close the files, unless a thread hangs with them."""
        self.rest()
        if self._thread is None:
            self._files.close()

    def _put(self, severity: int, text: str) -> None:
        self._queue.append((severity, text))
        self._waiting += len(text)
        self._change.notify()

    def _tell_missing(self) -> None:
        self._put(self._missing_severity, self._lost_text(self._missing))
        self._missing, self._missing_severity = 0, WARNING

    def _write(self, severity: int, text: str) -> None:
        try:
            self._files.write(severity, text)
        except OSError as error:
            self._failed(text.count("\n"), str(error))
        else:
            self._fine()

    def _run(self) -> None:
        while True:
            with self._change:
                while not self._queue:
                    if self._over:
                        return
                    self._change.wait()
                severity, text = self._queue.popleft()
            self._write(severity, text)
            with self._change:
                # Only now, so that what is being written counts as well.
                self._waiting -= len(text)
