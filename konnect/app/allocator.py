"""How much freed memory the process keeps for itself instead of giving it back at once.

Each read of bulk is a new `bytes` of up to 256 KiB, which lives until it is passed on. By default
glibc's malloc gets the first such blocks from the kernel one by one. After that it gives the top of
its heap back to the kernel whenever more than twice such a block is free there. So with eight
uploads over mutual TLS the kernel had to supply and clear every page again: 460 to 540 page faults
for each MB, and 50 to 130 in other measurements with eight tunnels. With the values below there are
0 to 8 (counted in the running programs).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

KEPT = 8 * 1024 * 1024
"""Bytes at the top of the heap that are kept, at most."""

STEP = 1024 * 1024
"""Bytes by which the heap grows at least."""

LARGE = 2 * 1024 * 1024
"""Bytes from which on a block is the kernel's, and goes back to it when it is freed."""

VALUES = {-1: KEPT, -2: STEP, -3: LARGE}
"""mallopt(3)'s M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD, as in glibc's malloc.h."""

OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables by which an operator tunes glibc's malloc; then it is left alone."""


def mallopt() -> Callable[[int, int], Any] | None:
    """The C library's function of this name, or None where it has none (musl)."""
    return getattr(ctypes.CDLL(None), "mallopt", None)


def malloc_trim() -> Callable[[int], Any] | None:
    """The C library's function of this name, or None where it has none (musl)."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def keep_more() -> None:
    """Let malloc keep what the next reads need, unless the environment tunes it."""
    if any(name in os.environ for name in OWN):
        return
    tune = mallopt()
    if tune is not None:
        for parameter, value in VALUES.items():
            tune(parameter, value)


def give_back() -> None:
    """Give the kernel what is free now, once: what the start took and nobody needs any more."""
    trim = malloc_trim()
    if trim is not None:
        trim(0)
