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
import traceback
from collections.abc import Callable, Mapping
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

_SEVERITY = {
    LogLevel.warn: SEVERITIES.index("WARNING"),
    LogLevel.error: SEVERITIES.index("ERROR"),
    LogLevel.critical: SEVERITIES.index("FATAL"),
}

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
    """

    def __init__(
        self,
        config: LogConfig,
        stream: TextIO | None,
        files: LogFiles | None,
        format_event: FormatEvent | None = None,
    ) -> None:
        self._config = config
        self._stream = stream
        self._files = files
        self._format = format_event or (without_header if config.skip_headers else with_header)
        self._failing = False

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
            try:
                self._files.write(severity, text)
                self._failing = False
            except OSError as error:
                if not self._failing:
                    self._failing = True
                    self._print(f"lines for the log file are lost: {error}\n")

    def _print(self, text: str) -> None:
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except OSError:
                pass  # stderr is gone, and there is nobody left to tell

    def close(self) -> None:
        """Close the files."""
        if self._files is not None:
            self._files.close()


def make_output(
    config: LogConfig,
    program: str,
    host: Mapping[str, Any] | None,
    format_event: FormatEvent | None = None,
) -> LogOutput | None:
    """
    What the application is to log to in the place of twistd's own observer; None: nothing.

    `host` is what twistd or twist were given. Files that come beside the host's own logging are
    added to Twisted's publisher here. Raises OSError for files that cannot be opened.
    """
    files = open_files(config, called(program, sys.argv[0])) if config.to_files else None
    if _hosts_own(host, config):
        if files is not None:
            globalLogPublisher.addObserver(LogOutput(config, None, files, format_event))
        return None
    # Before Twisted takes the name `sys.stderr` for its log.
    return LogOutput(config, sys.stderr, files, format_event)


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
