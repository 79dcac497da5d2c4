"""
The kinds of value a flag can have: how its text is read, shown, and what a bare `--flag` means.

Each reader takes the text after the `=` and raises ValueError with the words that Go's strconv
(or klog's own flags) use for the same mistake. Nothing here knows about flags' names.
"""

from __future__ import annotations

import csv
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from konnect.app.durations import format_duration, parse_duration
from konnect.app.quoting import quote


@dataclass(frozen=True, slots=True)
class Kind:
    """How one sort of flag value is read and shown."""

    word: str
    """What the help calls the value; empty where none is needed."""
    read: Callable[[str], Any]
    """Text to value; raises ValueError with the text to show."""
    show: Callable[[Any], str]
    """A value as Go prints a default; empty: the help shows no default."""
    bare: str | None = None
    """The text a flag without a value stands for; None: a value is required."""
    many: bool = False
    """Values are tuples, and each use of the flag adds to them."""
    text: Callable[[Any], str] = str
    """A value (of `many`: one of them) as a command line gives it."""


_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_INTEGER = re.compile(
    r"[+-]?(?:0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)"
)
_DECIMAL = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_SEVERITIES = ("INFO", "WARNING", "ERROR", "FATAL")


def _bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def _klog_bool(text: str) -> bool:
    try:
        return _bool(text)
    except ValueError:
        raise ValueError("parse error") from None


def _number(text: str, pattern: re.Pattern[str], bits: int) -> int:
    problem = f"strconv.ParseInt: parsing {quote(text)}: "
    if not pattern.fullmatch(text):
        raise ValueError(problem + "invalid syntax")
    digits = text.lstrip("+-").replace("_", "")
    if pattern is _DECIMAL:
        value = int(digits)
    elif digits.isdigit() and digits.startswith("0"):
        value = int(digits, 8)  # Go's base 0 still knows C's octal numbers
    else:
        value = int(digits, 0)
    if text.startswith("-"):
        value = -value
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise ValueError(problem + "value out of range")
    return value


def _int(text: str) -> int:
    return _number(text, _INTEGER, 64)


def _level(text: str) -> int:
    return _number(text, _DECIMAL, 32)


def _uint(text: str) -> int:
    if text[:1] in ("+", "-") or not _INTEGER.fullmatch(text):
        raise ValueError("parse error")
    try:
        return _number(text, _INTEGER, 65)
    except ValueError:
        raise ValueError("value out of range") from None


def _float32(text: str) -> float:
    problem = f"strconv.ParseFloat: parsing {quote(text)}: "
    if not _FLOAT.fullmatch(text):
        raise ValueError(problem + "invalid syntax")
    value = float(text)
    try:
        struct.pack("<f", value)
    except OverflowError:
        value = float("inf")
    if value in (float("inf"), float("-inf")):
        raise ValueError(problem + "value out of range")
    return value


def _list(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    try:
        (row,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as problem:
        raise ValueError(f"parse error in comma separated list: {problem}") from None
    return tuple(row)


def _severity(text: str) -> int:
    if text.upper() in _SEVERITIES:
        return _SEVERITIES.index(text.upper())
    return _level(text)


def _vmodule(text: str) -> str:
    for item in text.split(","):
        pattern, equals, level = item.partition("=")
        if item and not (pattern and equals and _DECIMAL.fullmatch(level)):
            raise ValueError("syntax error: expect comma-separated list of filename=N")
        if int(level or 0) < 0:
            raise ValueError("negative value for vmodule level")
    return text


def _backtrace_at(text: str) -> str:
    if text:
        name, colon, line = text.partition(":")
        if not colon or "." not in name or not _DECIMAL.fullmatch(line):
            raise ValueError("syntax error: expect file.go:234")
        if int(line) <= 0:
            raise ValueError("negative or zero value for level")
    return text


def _show_bool(value: bool) -> str:
    return "true" if value else ""


def _text_of_bool(value: bool) -> str:
    return "true" if value else "false"


def _show_number(value: float) -> str:
    return (str(value) if isinstance(value, int) else f"{value:g}") if value else ""


def _show_text(value: str) -> str:
    return quote(value) if value else ""


def _show_list(value: tuple[str, ...]) -> str:
    return f"[{','.join(value)}]" if value else ""


BOOL = Kind("", _bool, _show_bool, bare="true", text=_text_of_bool)
INT = Kind("int", _int, _show_number)
FLOAT = Kind("float32", _float32, _show_number)
TEXT = Kind("string", str, _show_text)
DURATION = Kind(
    "duration",
    parse_duration,
    lambda value: format_duration(value) if value else "",
    text=format_duration,
)
LIST = Kind("strings", _list, _show_list, many=True)
EACH = Kind("string", lambda text: (text,), _show_list, many=True)
"""A flag that may be repeated, each value taken whole (endpoint strings may hold commas)."""


def one_of(what: str, words: Sequence[str]) -> Kind:
    """Text that is one of `words`. Any other is refused as "no such `what`"."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"no such {what} (there are {', '.join(words)})")
        return text

    return Kind("string", read, str)


# klog's own flags are read by other code in Go, and its complaints are worded differently.
KLOG_BOOL = Kind("", _klog_bool, _show_bool, bare="true", text=_text_of_bool)
KLOG_UINT = Kind("uint", _uint, _show_number)
KLOG_LEVEL = Kind("Level", _level, _show_number)
KLOG_SEVERITY = Kind("severity", _severity, _show_number)
KLOG_VMODULE = Kind("moduleSpec", _vmodule, _show_text)
KLOG_LOCATION = Kind("traceLocation", _backtrace_at, _show_text)
