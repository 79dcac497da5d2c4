"""
The logging flags that every upstream program has through klog, and what they ask for.

A manifest that names them starts unchanged and gets what klog would do: lines go to stderr, or with
`--logtostderr=false` to files. What is not here: how lines are written (konnect.app.log_output) and
what a verbosity means (konnect.log).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from konnect.app import kinds
from konnect.app.flags import Flag
from konnect.log import LevelRule, level_for_verbosity

_WITHOUT_FILES = "no effect with --logtostderr=true"
_NO_EFFECT = "Accepted because upstream's programs have them, without effect:"

KLOG_FLAGS = (
    Flag(
        "v",
        kinds.KLOG_LEVEL,
        4,
        "How much to log: up to 4 what happens to listeners and links, from 5 also failed dials and"
        " repeated problems, from 8 everything.",
        short="v",
    ),
    Flag(
        "vmodule",
        kinds.KLOG_VMODULE,
        "",
        "More than -v for some modules: a comma separated list of PATTERN=N. A pattern is the last"
        " part of a module's name or all of it, with * and ?: connector=5,konnect.proxy.*=8.",
    ),
    Flag(
        "logtostderr",
        kinds.KLOG_BOOL,
        True,
        "Log to stderr; false: to files instead, but for what --stderrthreshold says. twistd's"
        " --logfile, --syslog and --logger come before this.",
    ),
    Flag(
        "log-file",
        kinds.TEXT,
        "",
        f"The file to log to ({_WITHOUT_FILES}).",
    ),
    Flag(
        "log-file-max-size",
        kinds.KLOG_UINT,
        1800,
        "Size in megabytes at which a log file is begun anew: --log-file is emptied, in --log-dir"
        f" another file is made; 0: never ({_WITHOUT_FILES}).",
    ),
    Flag(
        "log-dir",
        kinds.TEXT,
        "",
        "Without --log-file: the folder for a log file of each severity; empty: the folder for"
        f" temporary files ({_WITHOUT_FILES}).",
    ),
    Flag(
        "one-output",
        kinds.KLOG_BOOL,
        False,
        "In --log-dir, write a line to the file of its severity only, not to those of lower"
        f" severities too ({_WITHOUT_FILES}).",
    ),
    Flag(
        "alsologtostderr",
        kinds.KLOG_BOOL,
        False,
        f"Log to stderr as well as to files ({_WITHOUT_FILES}).",
    ),
    Flag(
        "alsologtostderrthreshold",
        kinds.KLOG_SEVERITY,
        0,
        "The lowest severity that --alsologtostderr is about: INFO, WARNING, ERROR or FATAL, or 0"
        " to 3.",
    ),
    Flag(
        "stderrthreshold",
        kinds.KLOG_SEVERITY,
        2,
        "The lowest severity that goes to stderr as well as to files (with --logtostderr=true only"
        " when --legacy-stderr-threshold-behavior=false).",
    ),
    Flag(
        "legacy-stderr-threshold-behavior",
        kinds.KLOG_BOOL,
        True,
        "With --logtostderr=true: log everything, whatever --stderrthreshold says.",
    ),
    Flag("skip-headers", kinds.KLOG_BOOL, False, "Log lines without time, module and severity."),
    Flag(
        "skip-log-headers",
        kinds.KLOG_BOOL,
        False,
        "Begin log files without saying when, where and by what they were made"
        f" ({_WITHOUT_FILES}).",
    ),
    Flag(
        "log-backtrace-at",
        kinds.KLOG_LOCATION,
        "",
        "FILE:LINE of a log statement, as in connector.py:120: how the program got there is logged"
        " with each of its lines.",
    ),
    Flag(
        "add-dir-header",
        kinds.KLOG_BOOL,
        False,
        "Accepted from upstream's manifests; konnect's lines name the whole module anyway.",
    ),
)

IDLE_KLOG_FLAGS = tuple(
    flag if flag.name == "v" else replace(flag, help="", note=_NO_EFFECT) for flag in KLOG_FLAGS
)
"""The same flags for a program that prints and does not log."""


@dataclass(frozen=True, slots=True)
class LogConfig:
    """
    What klog's flags ask for, and ours of konnect.app.log_flags.

    Severities are klog's numbers: 0 is INFO, 3 FATAL.
    """

    level: str = "info"
    """One of konnect.log.LEVELS."""
    rules: tuple[LevelRule, ...] = ()
    """Modules with another level."""
    stderr_from: int = 0
    """The lowest severity that goes to stderr."""
    to_files: bool = False
    file: str = ""
    """The one log file; empty: files in `directory`, one for each severity."""
    directory: str = ""
    """Empty: where temporary files go."""
    max_size: int = 1800 * 1024 * 1024
    """Bytes of a log file; 0: unlimited."""
    one_output: bool = False
    skip_headers: bool = False
    skip_log_headers: bool = False
    backtrace_at: tuple[str, int] | None = None
    """File name and line number of a log statement."""
    format: str = "text"
    """`text` or `json`."""
    tunnels: bool = True
    """Whether a tunnel's end is a line."""


def read_log(options: Mapping[str, Any]) -> LogConfig:
    """The values of KLOG_FLAGS, and of LOG_FLAGS where a program has them."""
    if options["logtostderr"]:
        legacy = options["legacy-stderr-threshold-behavior"]
        stderr_from = 0 if legacy else options["stderrthreshold"]
    elif options["alsologtostderr"]:
        stderr_from = options["alsologtostderrthreshold"]
    else:
        stderr_from = options["stderrthreshold"]
    name, _, line = options["log-backtrace-at"].partition(":")
    return LogConfig(
        level=level_for_verbosity(options["v"]),
        rules=_level_rules(options["vmodule"]),
        stderr_from=stderr_from,
        to_files=not options["logtostderr"],
        file=options["log-file"],
        directory=options["log-dir"],
        max_size=options["log-file-max-size"] * 1024 * 1024,
        one_output=options["one-output"],
        skip_headers=options["skip-headers"],
        skip_log_headers=options["skip-log-headers"],
        backtrace_at=(name, int(line)) if name else None,
        format=options.get("log-format", "text"),
        tunnels=options.get("log-tunnels", True),
    )


def _level_rules(vmodule: str) -> tuple[LevelRule, ...]:
    rules = []
    for item in filter(None, vmodule.split(",")):
        pattern, _, level = item.partition("=")
        rules.append((pattern, level_for_verbosity(int(level))))
    return tuple(rules)
