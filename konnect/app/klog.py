"""
The logging flags that every upstream program has through klog.

A manifest that names them must start unchanged, so all are accepted and their values are checked;
but konnect logs through Twisted, whose own options say where lines go. Only `-v` has an effect.
"""

from __future__ import annotations

from konnect.app import kinds
from konnect.app.flags import Flag

_NO_EFFECT = (
    "Accepted because upstream's programs have them, without effect (twistd's own options say"
    " where log lines go):"
)

KLOG_FLAGS = (
    Flag(
        "v",
        kinds.KLOG_LEVEL,
        4,
        "How much to log: up to 4 what happens to listeners and links, from 5 also failed dials and"
        " repeated problems.",
        short="v",
    ),
    Flag("add-dir-header", kinds.KLOG_BOOL, False, note=_NO_EFFECT),
    Flag("alsologtostderr", kinds.KLOG_BOOL, False, note=_NO_EFFECT),
    Flag("alsologtostderrthreshold", kinds.KLOG_SEVERITY, 0, note=_NO_EFFECT),
    Flag("legacy-stderr-threshold-behavior", kinds.KLOG_BOOL, True, note=_NO_EFFECT),
    Flag("log-backtrace-at", kinds.KLOG_LOCATION, "", note=_NO_EFFECT),
    Flag("log-dir", kinds.TEXT, "", note=_NO_EFFECT),
    Flag("log-file", kinds.TEXT, "", note=_NO_EFFECT),
    Flag("log-file-max-size", kinds.KLOG_UINT, 1800, note=_NO_EFFECT),
    Flag("logtostderr", kinds.KLOG_BOOL, True, note=_NO_EFFECT),
    Flag("one-output", kinds.KLOG_BOOL, False, note=_NO_EFFECT),
    Flag("skip-headers", kinds.KLOG_BOOL, False, note=_NO_EFFECT),
    Flag("skip-log-headers", kinds.KLOG_BOOL, False, note=_NO_EFFECT),
    Flag("stderrthreshold", kinds.KLOG_SEVERITY, 2, note=_NO_EFFECT),
    Flag("vmodule", kinds.KLOG_VMODULE, "", note=_NO_EFFECT),
)
