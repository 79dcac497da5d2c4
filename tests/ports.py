"""Ports for the listeners of tests."""

from __future__ import annotations

import contextlib
import random
import socket

_given: set[int] = set()
"""Ports that tests have been given. Nobody listens on one yet, so it might be drawn again."""


def free_port() -> int:
    """A TCP port that nobody listens on, on any address; never the same twice."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of so many such ports in a row.

    Upstream's flags refuse ports above 49151, and the kernel hands out its own from 32768 on: so
    choose below that, at random, so that two runs at once do not meet.
    """
    while True:
        first = random.randrange(20000, 32000)
        ports = range(first, first + count)
        if _given.isdisjoint(ports) and all(map(_free, ports)):
            _given.update(ports)
            return first


def _free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("", port))
        return True
    return False
