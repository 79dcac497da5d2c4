"""Stacks of running code, counted; and those of all threads at one moment.

What is counted is bounded: stacks are cut at a depth, and when there are too many different ones
the rest are counted as one.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import CodeType, FrameType

from konnect.ops.profile import Frame, Profile, Stack

DEPTH = 100
"""Calls of one stack, counted from the innermost."""

DIFFERENT = 20_000
"""Different stacks that are told apart."""

_Raw = tuple[tuple[CodeType, int], ...]
_OTHERS = Frame("(too many different stacks)")


class StackCounts:
    """Numbers for each stack; `width` of them."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._counts: dict[_Raw, list[int]] = {}

    def add(self, frame: FrameType | None, *numbers: int) -> None:
        """Count `numbers` for the stack that ends in `frame`."""
        stack = _raw(frame)
        counts = self._counts
        if stack not in counts:
            if len(counts) >= DIFFERENT:
                stack = ()
            counts.setdefault(stack, [0] * self._width)
        row = counts[stack]
        for i, number in enumerate(numbers):
            row[i] += number

    def stacks(self) -> dict[Stack, tuple[int, ...]]:
        """What was counted so far."""
        found: dict[Stack, tuple[int, ...]] = {}
        for raw, numbers in list(self._counts.items()):
            stack = _named(raw) or (_OTHERS,)
            # Different code may have one name and place: that which dataclasses make, for one.
            before = found.get(stack, (0,) * self._width)
            found[stack] = tuple(map(sum, zip(before, numbers, strict=True)))
        return found


def threads() -> Iterator[tuple[str, Stack]]:
    """Every thread's name and stack, as they are now."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for number, frame in sys._current_frames().items():
        yield names.get(number, f"thread {number}"), _named(_raw(frame))


def thread_profile() -> Profile:
    """The threads' stacks as a profile."""
    stacks: dict[Stack, tuple[int, ...]] = {}
    for name, stack in threads():
        whole = (*stack, Frame(name))
        stacks[whole] = (stacks.get(whole, (0,))[0] + 1,)
    return Profile(values=(("threads", "count"),), stacks=stacks)


def thread_text() -> str:
    """The threads' stacks to be read, the innermost call first."""
    blocks = []
    for name, stack in threads():
        lines = [f"{name}:", *(f"  {frame.name}  {frame.file}:{frame.line}" for frame in stack)]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _raw(frame: FrameType | None) -> _Raw:
    stack: list[tuple[CodeType, int]] = []
    while frame is not None and len(stack) < DEPTH:
        stack.append((frame.f_code, frame.f_lineno or 0))
        frame = frame.f_back
    return tuple(stack)


def _named(raw: _Raw) -> Stack:
    return tuple(Frame(_name(code), code.co_filename, line) for code, line in raw)


def _name(code: CodeType) -> str:
    """`tunnel/link.py:Link.send_data`: the end of the file's path, since classes are not unique."""
    place = "/".join(code.co_filename.split("/")[-2:])
    return f"{place}:{code.co_qualname}"
