"""
Where log lines go: a Twisted log observer that does what klog's flags ask for.

Under `twistd -n` it takes the place of twistd's own observer. Whoever gives twistd one of its own
options for it (`--logfile`, `--syslog`, `--logger`), or lets it go to the background without asking
for files, keeps twistd's; files are written in any case. What is logged at all is konnect.log's
business.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from threading import RLock
from types import FrameType
from typing import Any, TextIO

from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    eventAsText,
    formatEventAsClassicLogText,
    globalLogPublisher,
)
from zope.interface import implementer

from konnect.app.klog import LogConfig
from konnect.app.log_files import SEVERITIES, LogFiles, called, open_files
from konnect.app.log_stderr import Lines, lines_to
from konnect.app.log_writing import FileLines

_SEVERITY = {
    LogLevel.warn: SEVERITIES.index("WARNING"),
    LogLevel.error: SEVERITIES.index("ERROR"),
    LogLevel.critical: SEVERITIES.index("FATAL"),
}

Lost = MutableMapping[str, int]
"""How many lines were lost that should have gone to `stderr` or to `files`."""

FormatEvent = Callable[[LogEvent], str | None]
"""An event as text that ends with a line feed; None or empty: not to be logged."""


_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"
}
"""Characters that would do something to a terminal: names that peers send stand in lines."""


def with_header(event: LogEvent) -> str | None:
    """Twisted's own form: time, module and level, then the text."""
    text = formatEventAsClassicLogText(event)
    return text.translate(_CONTROLS) if text else None


def without_header(event: LogEvent) -> str | None:
    """The text alone."""
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    return text.replace("\n", "\n\t").translate(_CONTROLS) + "\n" if text else None


@implementer(ILogObserver)
class LogOutput:
    """
    The observer.

    :param stream: for the lines that go to stderr; None: for none.
    :param files: for the lines that go to files; None: for none.
    :param format_event: makes the lines.
    :param lost: where lost lines are counted.
    """

    def __init__(
        self,
        config: LogConfig,
        stream: TextIO | None,
        files: LogFiles | None,
        format_event: FormatEvent | None = None,
        lost: Lost | None = None,
    ) -> None:
        self._config = config
        self._lost: Lost = {"stderr": 0, "files": 0} if lost is None else lost
        self._stderr: Lines | None = None
        if stream is not None:
            self._stderr = lines_to(stream, self._count_unread, self._unread)
        self._files: FileLines | None = None
        if files is not None:
            self._files = FileLines(files, self._not_written, self._written, self._missing)
        self._format = format_event or (without_header if config.skip_headers else with_header)
        self._failing = False
        self._counting = RLock()

    def __call__(self, event: LogEvent) -> None:
        text = self._format(event)
        if not text:
            return
        if self._config.backtrace_at is not None:
            text += _backtrace(*self._config.backtrace_at)
        severity = _SEVERITY.get(event.get("log_level"), 0)
        if severity >= self._config.stderr_from:
            self._print(text)
        if self._files is not None:
            self._files.write(severity, text)

    def _print(self, text: str) -> None:
        if self._stderr is not None:
            self._stderr.write(text)

    def _count_unread(self, lines: int) -> None:
        self._lost["stderr"] += lines

    def _unread(self, lines: int) -> str:
        were = "line was" if lines == 1 else "lines were"
        return self._own_line(f"{lines} log {were} lost: nobody read stderr")

    def _not_written(self, lines: int, why: str) -> None:
        with self._counting:  # two threads may be here
            self._lost["files"] += lines
            first, self._failing = not self._failing, True
        if first and why:
            self._print(self._own_line(f"lines for the log file are lost: {why}"))

    def _written(self) -> None:
        self._failing = False

    def _missing(self, lines: int) -> str:
        were = "line was" if lines == 1 else "lines were"
        return self._own_line(f"{lines} log {were} lost: the disk did not take them in time")

    def _own_line(self, text: str) -> str:
        """What is not logged, since the log itself is what it is about."""
        event: LogEvent = {
            "log_time": time.time(),
            "log_level": LogLevel.warn,
            "log_namespace": __name__,
            "log_format": "{text}",
            "text": text,
        }
        return self._format(event) or ""

    def follow(self, reactor: Any) -> None:
        """Keep nobody waiting for stderr's reader, or a disk, from the reactor's start to its
        end."""
        if self._stderr is not None:
            reactor.callWhenRunning(self._stderr.run, reactor)
            reactor.addSystemEventTrigger("after", "shutdown", self._stderr.rest)
        if self._files is not None:
            reactor.callWhenRunning(self._files.run)
            reactor.addSystemEventTrigger("after", "shutdown", self._files.rest)

    def close(self) -> None:
        """Close the files."""
        if self._stderr is not None:
            self._stderr.close()
        if self._files is not None:
            self._files.close()


def make_output(
    config: LogConfig,
    program: str,
    host: Mapping[str, Any] | None,
    format_event: FormatEvent | None = None,
    lost: Lost | None = None,
    reactor: Any = None,
) -> LogOutput | None:
    """
    What the application is to log to in the place of twistd's own observer; None: nothing.

    `host` is what twistd or twist were given. Files that come beside the host's own logging are
    added to Twisted's publisher here. What is made follows the `reactor`, if one is given. Raises
    OSError for files that cannot be opened.
    """
    files = open_files(config, called(program, sys.argv[0])) if config.to_files else None
    own = not _hosts_own(host, config)
    if not own and files is None:
        return None
    # Before Twisted takes the name `sys.stderr` for its log.
    output = LogOutput(config, sys.stderr if own else None, files, format_event, lost)
    if reactor is not None:
        output.follow(reactor)
    if own:
        return output
    globalLogPublisher.addObserver(output)
    return None


def _hosts_own(host: Mapping[str, Any] | None, config: LogConfig) -> bool:
    if host is None or "nodaemon" not in host:  # twist logs in its own way, and always
        return True
    if any(host.get(name) for name in ("logger", "logfile", "syslog")):
        return True
    return not host["nodaemon"] and not config.to_files


def _backtrace(file: str, line: int) -> str:
    """How the program got to this statement, if the line being logged comes from there."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_lineno == line and os.path.basename(frame.f_code.co_filename) == file:
            return "".join("\t" + text for text in traceback.format_stack(frame))
        frame = frame.f_back
    return ""
