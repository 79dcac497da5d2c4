"""
Go's duration syntax (`1h30m`, `500ms`), since upstream's flags are written in it.

Seconds as a float are what the rest of konnect uses; Go's text is for flags, help and messages.
The error texts are those of Go's `time.ParseDuration`, which operators know from upstream.
"""

from __future__ import annotations

import re

from konnect.app.quoting import quote

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # micro sign
    "μs": 10**3,  # Greek mu
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_NUMBER = re.compile(r"([0-9]*)(?:\.([0-9]*))?")
_UNIT = re.compile(r"[^0-9.]*")
_LARGEST = 2**63 - 1


def parse_duration(text: str) -> float:
    """
    Seconds for Go's duration text; `0` needs no unit, every other number does.

    Raises ValueError with Go's wording.
    """
    invalid = ValueError(f"time: invalid duration {quote(text)}")
    rest = text
    negative = rest.startswith("-")
    if rest[:1] in ("-", "+"):
        rest = rest[1:]
    if rest == "0":
        return 0.0
    if not rest:
        raise invalid
    total = 0
    while rest:
        number = _NUMBER.match(rest)
        assert number is not None  # the pattern matches the empty string too
        whole, fraction = number[1], number[2] or ""
        if not whole and not fraction:
            raise invalid
        rest = rest[number.end() :]
        unit = _UNIT.match(rest)
        assert unit is not None
        if not unit[0]:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if unit[0] not in _UNITS:
            raise ValueError(f"time: unknown unit {quote(unit[0])} in duration {quote(text)}")
        scale = _UNITS[unit[0]]
        total += int(whole or "0") * scale
        if fraction:
            total += int(fraction) * scale // 10 ** len(fraction)
        if total > _LARGEST:
            raise invalid
        rest = rest[unit.end() :]
    return (-total if negative else total) / 10**9


def format_duration(seconds: float) -> str:
    """Seconds as Go prints a duration: `1h30m0s`, `1.5s`, `500ms`, `0s`."""
    total = round(abs(seconds) * 10**9)
    sign = "-" if seconds < 0 and total else ""
    if total == 0:
        return "0s"
    for unit in ("ns", "µs", "ms"):
        if total < _UNITS[unit] * 1000:
            return f"{sign}{_decimal(total, _UNITS[unit])}{unit}"
    minutes, rest = divmod(total, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, _UNITS['s'])}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    if hours:
        text = f"{hours}h{text}"
    return sign + text


def _decimal(amount: int, scale: int) -> str:
    """`amount / scale` without rounding and without trailing zeros."""
    whole, rest = divmod(amount, scale)
    if not rest:
        return str(whole)
    return f"{whole}.{rest:0{len(str(scale)) - 1}d}".rstrip("0")
