"""What a log line looks like: what `--log-format` chooses.

Accounts of tunnels come many in one event (`konnect.ops.tunnel_log`); here each gets a line of its
own.
"""

from __future__ import annotations

import json

from twisted.logger import LogEvent, eventAsText

from konnect.app.klog import LogConfig
from konnect.app.log_output import FormatEvent, with_header, without_header
from konnect.ops.account_lines import Line, bare_line, json_line, json_time, text_line
from konnect.ops.tunnel_log import Accounts


def event_format(config: LogConfig) -> FormatEvent:
    """What makes lines of events: JSON, or text with or without time, module and level."""
    if config.format == "json":
        return _splitting(as_json, json_line)
    if config.skip_headers:
        return _splitting(without_header, bare_line)
    return _splitting(with_header, text_line)


def _splitting(event_text: FormatEvent, line: Line) -> FormatEvent:
    def format_event(event: LogEvent) -> str | None:
        accounts = event.get("accounts")
        if isinstance(accounts, Accounts):
            return "".join(accounts.lines(line))
        return event_text(event)

    return format_event


def as_json(event: LogEvent) -> str | None:
    """One object: `time` (RFC 3339, UTC), `level`, `logger`, `message`, and of our own mistakes the
    `traceback`."""
    message = eventAsText(
        event, includeTimestamp=False, includeSystem=False, includeTraceback=False
    )
    failure = event.get("log_failure")
    if not message and failure is None:
        return None
    level = event.get("log_level")
    fields = {
        "time": json_time(event["log_time"]),
        "level": level.name if level is not None else "info",
        "logger": event.get("log_namespace") or event.get("log_system") or "-",
        "message": message,
    }
    if failure is not None:
        fields["traceback"] = failure.getTraceback()
    return json.dumps(fields, default=str) + "\n"
