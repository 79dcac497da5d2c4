"""The flags about log lines that are konnect's own: their format, and whether tunnels have one.

Their values are part of `konnect.app.klog.LogConfig`, beside those of klog's flags.
"""

from __future__ import annotations

from konnect.app import kinds
from konnect.app.flags import Flag

LOG_FLAGS = (
    Flag(
        "log-format",
        kinds.one_of("format", ("text", "json")),
        "text",
        "Log lines as text, or as json: one object a line. For what konnect writes itself; twistd's"
        " --logfile, --syslog and --logger have formats of their own.",
    ),
    Flag(
        "log-tunnels",
        kinds.BOOL,
        True,
        "Log one line for each tunnel and each failed dial, when it is over.",
    ),
)
