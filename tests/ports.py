"""Ports for the listeners of tests."""

from __future__ import annotations

import contextlib
import random
import socket

_given: set[int] = set()
"""Ports that tests have been given. Nobody listens on one yet, so it might be drawn again."""


def free_port() -> int:
    """A TCP port that nobody listens on, on any address; never the same twice.

    Upstream's flags refuse ports above 49151, and the kernel hands out its own from 32768 on: so
    choose below that, at random, so that two runs at once do not meet.
    """
    while True:
        port = random.randrange(20000, 32000)
        if port in _given:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            _given.add(port)
            return port
