"""Unpredictable numbers for dials: the kernel is asked for many at once, and not for each dial.

They are as good as `secrets.randbits(63)`, since nobody else sees those that wait. A process that
forked would share them with its child; neither program does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from struct import Struct

_BATCH = Struct("128Q")


def _batches() -> Iterator[list[int]]:
    while True:
        yield [number >> 1 for number in _BATCH.unpack(os.urandom(_BATCH.size))]


def randoms() -> Iterator[int]:
    """Numbers of 63 bits, which is what a DIAL_REQ has room for, without end."""
    return chain.from_iterable(_batches())
