"""
Loggers for the whole project, and the levels that klog's `-v` chooses.

Why: txaio rebinds the methods of disabled levels to a no-op, so a `debug` line that nobody wants
costs a call and no more. This module does not decide where lines go: twistd, twist or the
`konnect` command start an observer; it only says which lines are made at all.

The levels, and what belongs where:

    error   something is broken and a person has to act
    warn    something was refused or lost, and konnect goes on
    info    the life of the process, its listeners and its links
    debug   the life of one tunnel
    trace   one packet; never on by default, never for payload bytes
"""

from __future__ import annotations

import sys
from typing import Any, Protocol, cast

import twisted.logger
from txaio import tx

LEVELS = ("critical", "error", "warn", "info", "debug", "trace")


class Logger(Protocol):
    """What `make_logger` returns: `{format}` fields are given as keywords."""

    def critical(self, format: str, **fields: Any) -> None: ...
    def error(self, format: str, **fields: Any) -> None: ...
    def warn(self, format: str, **fields: Any) -> None: ...
    def info(self, format: str, **fields: Any) -> None: ...
    def debug(self, format: str, **fields: Any) -> None: ...
    def trace(self, format: str, **fields: Any) -> None: ...

    def failure(self, format: str, failure: Any = None, **fields: Any) -> None:
        """Log a traceback: for our own mistakes only, never for what a peer did."""


def make_logger(namespace: str | None = None) -> Logger:
    """
    A logger that follows `set_level`, also when it was made before that call.

    `namespace` is the name in the log line; by default the calling module's `__name__`.
    """
    if namespace is None:
        namespace = str(sys._getframe(1).f_globals["__name__"])
    # txaio's own make_logger would name this module, since it looks at its caller.
    return cast(Logger, tx.Logger(logger=twisted.logger.Logger, namespace=namespace))


def set_level(level: str) -> None:
    """Make lines of `level` (one of LEVELS) and above, for every logger, now and later."""
    if level not in LEVELS:
        raise ValueError(f"no such log level: {level!r} (there are {', '.join(LEVELS)})")
    tx.set_global_log_level(level)


def level_for_verbosity(verbosity: int) -> str:
    """
    The level for klog's `-v N`.

    Upstream's programs run at 4 unless told otherwise, log a tunnel's life from there up and
    packets above; here 4 and below is `info`, 5 to 7 `debug`, 8 and above `trace`.
    """
    if verbosity >= 8:
        return "trace"
    if verbosity >= 5:
        return "debug"
    return "info"
