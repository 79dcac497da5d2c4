"""
Loggers for the whole project, and the levels that klog's `-v` and `--vmodule` choose.

Why: txaio rebinds the methods of disabled levels to a no-op, so a `debug` line that nobody wants
costs a call and no more. This module does not decide where lines go (konnect.app.log_output does);
it only says which lines are made at all.

The levels, and what belongs where:

    error   something is broken and a person has to act
    warn    something was refused or lost, and konnect goes on
    info    the life of the process, its listeners and its links
    debug   the life of one tunnel
    trace   one packet; never on by default, never for payload bytes
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

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


LevelRule = tuple[str, str]
"""A pattern for loggers' names, and the level of those that match."""

_rules: tuple[LevelRule, ...] = ()
_names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""Every living logger with its namespace, which txaio's do not tell."""


def make_logger(namespace: str | None = None) -> Logger:
    """
    A logger that follows `set_level`, also when it was made before that call.

    `namespace` is the name in the log line; by default the calling module's `__name__`.
    """
    if namespace is None:
        namespace = str(sys._getframe(1).f_globals["__name__"])
    # txaio's own make_logger would name this module, since it looks at its caller.
    logger = tx.Logger(logger=twisted.logger.Logger, namespace=namespace)
    _names[logger] = namespace
    _obey_rules(logger, namespace, tx._log_level)
    return cast(Logger, logger)


def set_level(level: str, rules: Sequence[LevelRule] = ()) -> None:
    """
    Make lines of `level` (one of LEVELS) and above, for every logger, now and later.

    A logger that matches one of `rules` makes lines of that rule's level, if it is the lower one;
    the first match counts. A pattern is a glob (`*`, `?`, `[...]`) and has to match either the
    whole namespace, `konnect.agent.connector`, or its last part. Raises ValueError for unknown
    levels.
    """
    global _rules
    for name in (level, *(rule[1] for rule in rules)):
        if name not in LEVELS:
            raise ValueError(f"no such log level: {name!r} (there are {', '.join(LEVELS)})")
    _rules = tuple(rules)
    tx.set_global_log_level(level)
    for logger, namespace in list(_names.items()):
        _obey_rules(logger, namespace, level)


def _obey_rules(logger: Any, namespace: str, level: str) -> None:
    short = namespace.rpartition(".")[2]
    for pattern, lower in _rules:
        if fnmatchcase(short, pattern) or fnmatchcase(namespace, pattern):
            level = max(level, lower, key=LEVELS.index)
            break
    # Not kept by txaio as this logger's own: the next `set_level` decides anew.
    logger.set_log_level(level, keep=False)


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
