"""Tunnels of a running pair that have stopped, held by a load generator of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from stack import Stack

MODES = {"readers": "stall", "writers": "stallup"}
"""The modes of pbench: clients that do not read, and clients of destinations that do not."""

REST = 0.5
"""Seconds over which a pair is looked at, whether it has come to rest."""

SETTLE = 30.0
"""Seconds that a pair has to come to rest."""

QUIET = 0.03
"""Seconds of CPU within `REST` that count as rest."""

HOLD = 600.0
"""Seconds after which the load generator ends whatever happens."""


def settle(stack: Stack) -> bool:
    """Wait until nothing moves any more; whether that was within the time.

    What the load generator has sent is not what has arrived: a link passes on for seconds what
    hundreds of clients have written, and whatever is measured meanwhile shares the link with it.
    """
    deadline = time.monotonic() + SETTLE
    while time.monotonic() < deadline:
        before = stack.cpu_seconds()
        time.sleep(REST)
        if stack.cpu_seconds() - before <= QUIET:
            return True
    return False


@contextlib.contextmanager
def stalled(pbench: Path, stack: Stack, kind: str, count: int) -> Iterator[int]:
    """
    So many tunnels that have stopped, through the same frontend as those that are measured.

    :param kind: `readers` or `writers`.
    :return: how many have opened; each has all the room full that it gets.
    """
    port = stack.destination_port + 1
    command = [str(pbench), MODES[kind], stack.via, str(port), str(count), str(HOLD)]
    pipe = subprocess.PIPE
    load = subprocess.Popen(
        command,
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "CERTS": str(stack.client_certs)},
    )
    assert load.stdin is not None and load.stdout is not None
    try:
        said = load.stdout.readline()
        if not said:
            raise SystemExit("the load generator opened no tunnels")
        settle(stack)
        yield json.loads(said)["ready"]
    finally:
        load.stdin.close()
        try:
            load.wait(10)
        except subprocess.TimeoutExpired:
            load.kill()
            load.wait()
        load.stdout.close()
        settle(stack)
