"""What the tests of programs share: ports, what the API server says of tokens, and processes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.api_server import Object

PATIENCE = 40.0
"""Bound of every wait for a process, in seconds. Generous: a busy machine is no failure."""

_given: set[int] = set()
"""Ports that were given before. Nobody listens at one yet, so it might be drawn again."""


def free_port() -> int:
    """A port that nobody listens at, below those that upstream's rules call ephemeral; never the
    same twice."""
    while True:
        port = random.randrange(20000, 32000)
        if port in _given:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            _given.add(port)
            return port


def review(asked: Object) -> Object:
    """What the API server says of a token: good are those that begin with `good`."""
    if not asked["token"].startswith("good"):
        return {"authenticated": False, "error": "[invalid bearer token]"}
    return {
        "authenticated": True,
        "audiences": asked["audiences"],
        "user": {"username": "system:serviceaccount:kube-system:konnectivity-agent"},
    }


class Program(ProcessProtocol):
    """A twistd of one of konnect's programs, and what it has said."""

    def __init__(self, reactor: Any, name: str, flags: dict[str, str]) -> None:
        self.log = ""
        self.ended = False
        self.code: int | None = None
        """Its exit code, once it has ended; None: a signal's doing."""
        self._reactor = reactor
        self._name = name
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PROXY_")}
        command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
        command += ["-n", "--pidfile=", f"konnect-{name}"]
        command += [f"--{flag}={value}" for flag, value in flags.items() if value]
        reactor.spawnProcess(self, sys.executable, command, environ)

    def outReceived(self, data: bytes) -> None:
        self.log += data.decode(errors="replace")

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        self.ended = True
        self.code = reason.value.exitCode

    async def says(self, *words: str) -> str:
        """The first line that holds all of this, which must come."""

        def found() -> str:
            lines = (line for line in self.log.splitlines() if all(word in line for word in words))
            return next(lines, "")

        return await self._until(found, f"a line with {words}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.transport.signalProcess(number)  # type: ignore[union-attr]

    async def has_ended(self) -> int | None:
        """Wait for its end, which must come; its exit code."""
        await self._until(lambda: self.ended, "its end")
        return self.code

    async def end(self) -> None:
        """Ask it to stop, and again, which means at once; a stubborn one is killed."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessExitedAlready):
                self.send(number)
            with contextlib.suppress(AssertionError):
                await self._until(lambda: self.ended, "its end", 5.0)
                break
        assert number is not signal.SIGKILL, f"{self._name} had to be killed:\n{self.log}"
        assert "Traceback" not in self.log, self.log

    async def _until(self, seen: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := seen()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{self._name}: not within {seconds:g} s: {what}\n{self.log}")
            pause: Deferred[None] = deferLater(self._reactor, 0.02)
            await pause
        return value
