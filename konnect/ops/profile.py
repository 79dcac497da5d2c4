"""A profile: which stacks of calls, and how much of what each of them stands for.

It comes out in two forms: as the gzipped protobuf of `pprof`
(github.com/google/pprof/blob/main/proto/profile.proto), which `go tool pprof` reads, and as text of
folded stacks, one a line, which flame graph tools read.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Frame(NamedTuple):
    """One call of a stack."""

    name: str
    file: str = ""
    line: int = 0


Stack = tuple[Frame, ...]
"""The innermost call first."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What was found."""

    values: tuple[tuple[str, str], ...]
    """What each stack has a number of: name and unit, as in `("cpu", "nanoseconds")`."""
    stacks: Mapping[Stack, tuple[int, ...]]
    """The numbers, one for each of `values`."""
    period: int = 0
    """Of the last of `values`, between two samples; 0: it was not sampled."""
    began: float = 0.0
    """Seconds since 1970."""
    seconds: float = 0.0
    """How long was looked; 0: at one moment."""

    def folded(self) -> bytes:
        """The last number of each stack, the largest first: `outer;inner 12`."""
        lines = [
            (numbers[-1], ";".join(frame.name for frame in reversed(stack)))
            for stack, numbers in self.stacks.items()
        ]
        lines.sort(key=lambda line: (-line[0], line[1]))
        return "".join(f"{name} {number}\n" for number, name in lines).encode("utf-8", "replace")

    def pprof(self) -> bytes:
        """The protobuf, gzipped."""
        table = _Tables()
        body = bytearray()
        for kind, unit in self.values:
            body += _message(1, _value_type(table, kind, unit))
        for stack, numbers in self.stacks.items():
            places = [table.location(frame) for frame in stack]
            body += _message(2, _packed(1, places) + _packed(2, numbers))
        body += table.locations + table.functions
        if self.period:
            body += _message(11, _value_type(table, *self.values[-1]))
            body += _integer(12, self.period)
        body += _integer(9, int(self.began * 1e9)) + _integer(10, int(self.seconds * 1e9))
        for text in table.texts:
            body += _message(6, text.encode("utf-8", "replace"))
        return gzip.compress(bytes(body), compresslevel=5, mtime=0)


class _Tables:
    """Texts, functions and locations, each written once and known by its number."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {"": 0}
        self.functions = bytearray()
        self.locations = bytearray()
        self._functions: dict[tuple[str, str], int] = {}
        self._locations: dict[Frame, int] = {}

    def text(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))

    def _function(self, name: str, file: str) -> int:
        number = self._functions.get((name, file))
        if number is None:
            number = self._functions[name, file] = len(self._functions) + 1
            body = _integer(1, number) + _integer(2, self.text(name))
            body += _integer(3, self.text(name)) + _integer(4, self.text(file))
            self.functions += _message(5, body)
        return number

    def location(self, frame: Frame) -> int:
        number = self._locations.get(frame)
        if number is None:
            number = self._locations[frame] = len(self._locations) + 1
            line = _integer(1, self._function(frame.name, frame.file)) + _integer(2, frame.line)
            self.locations += _message(4, _integer(1, number) + _message(4, line))
        return number


def _value_type(table: _Tables, kind: str, unit: str) -> bytes:
    return _integer(1, table.text(kind)) + _integer(2, table.text(unit))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _integer(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _packed(field: int, numbers: Iterable[int]) -> bytes:
    return _message(field, b"".join(map(_varint, numbers)))
