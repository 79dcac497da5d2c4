"""Real processes for the interop tests: start one, wait until it is ready, read its log, end it.

A `Program` is one process and its log file. It is ended by its own process object, never by name,
and what is still running when the test run ends is ended then. Every wait has a bound. This file
knows how to start things; what the flags mean is `pairs.py`'s business.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import konnect

RUN_TWISTD = "from twisted.scripts.twistd import run; run()"
TWISTD = [sys.executable, "-c", RUN_TWISTD, "-n", "--pidfile="]
PROXY = [*TWISTD, "konnect-proxy"]
AGENT = [*TWISTD, "konnect-agent"]

STAINS = ("Traceback (most recent call last)", "Unhandled", "was never retrieved", "never awaited")
"""What no log of ours may contain, whatever a peer does."""

START_SECONDS = 20.0
"""Bound of every wait for a start. Generous: a busy machine is no failure."""

T = TypeVar("T")


def wait_until(seen: Callable[[], T], what: str, seconds: float = 10.0) -> T:
    """Poll `seen` until it gives something true, and return that; else fail, naming `what`."""
    deadline = time.monotonic() + seconds
    while True:
        value = seen()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come within {seconds:g} s: {what}")
        time.sleep(0.02)


def http_get(port: int, path: str, seconds: float = 5.0) -> tuple[int, str]:
    """Status and body of a GET on loopback; (0, why) when nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()
    except OSError as why:
        return 0, str(why)


@contextlib.contextmanager
def shortened(module: str, bound: str, seconds: float) -> Iterator[None]:
    """Programs started meanwhile have a shorter bound: for those that no flag sets."""
    set_it = f"import {module} as m; assert m.{bound} > {seconds}; m.{bound} = {seconds}; "
    saved = PROXY[2], AGENT[2]
    PROXY[2], AGENT[2] = (set_it + code for code in saved)
    try:
        yield
    finally:
        PROXY[2], AGENT[2] = saved


class Program:
    """One process that we started, with standard output and error in one log file, unless `stderr`
    is a descriptor for the latter."""

    def __init__(
        self,
        name: str,
        command: list[str],
        directory: Path,
        pass_fds: Sequence[int] = (),
        stderr: int = subprocess.STDOUT,
    ) -> None:
        self.name = name
        self.stubborn = False
        handle, path = tempfile.mkstemp(prefix=f"{name}-", suffix=".log", dir=directory)
        self.log_path = Path(path)
        with open(handle, "wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=stderr,
                pass_fds=pass_fds,
            )
        _running.append(self)

    def __repr__(self) -> str:
        return f"<{self.name} pid={self.process.pid} log={self.log_path}>"

    def log(self, since: int = 0) -> str:
        """What the process has said, from byte `since` on."""
        return self.log_path.read_bytes()[since:].decode(errors="replace")

    def log_size(self) -> int:
        return self.log_path.stat().st_size

    def alive(self) -> bool:
        return self.process.poll() is None

    def descriptors(self) -> int:
        """How many file descriptors the process holds."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stains(self, since: int = 0) -> str:
        """What no log may contain, with the lines that follow; empty if all is well."""
        lines = self.log(since).splitlines()
        for number, line in enumerate(lines):
            if any(stain in line for stain in STAINS):
                return "\n".join(lines[number : number + 40])
        return ""

    def wait_for_line(self, *words: str, since: int = 0, seconds: float = 20.0) -> str:
        """The first log line that holds all `words`; fails with the log's tail when none comes."""

        def found() -> str | None:
            for line in self.log(since).splitlines():
                if all(word in line for word in words):
                    return line
            return None

        try:
            return wait_until(found, "", seconds) or ""
        except AssertionError:
            tail = "\n".join(self.log(since).splitlines()[-25:])
            raise AssertionError(
                f"{self.name}: no log line with {words}; the log:\n{tail}"
            ) from None

    def wait_ready(self, port: int, path: str, seconds: float = START_SECONDS) -> None:
        """Return when GET `path` on the health port answers 200; fail if the process died."""

        def answered() -> bool:
            if not self.alive():
                raise AssertionError(
                    f"{self.name} ended with {self.process.returncode}:\n{self.log()}"
                )
            return http_get(port, path)[0] == 200

        try:
            wait_until(answered, f"{self.name} {path} on {port}", seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.log()}") from None

    def wait_exit(self, seconds: float = 10.0) -> int:
        """The exit code, once the process has ended by itself."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.name} still runs after {seconds:g} s:\n{self.log()}"
            ) from None

    def signal(self, number: int) -> None:
        """Send a signal, unless the process has ended (its number may be another's by now)."""
        if self.alive():
            self.process.send_signal(number)

    def end(self, patience: float = 5.0, seconds: float = 10.0) -> int:
        """End the process: asked; after `patience` asked again, which means at once; then killed.

        Returns the exit code. `stubborn` tells afterwards whether it had to be killed.
        """
        for bound in (patience, seconds):
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(bound)
                break
        else:
            self.stubborn = True
            self.process.kill()
        if self in _running:
            _running.remove(self)
        return self.process.wait(5.0)


_running: list[Program] = []
"""Programs that nobody has ended yet."""

_directories: list[Path] = []


@atexit.register
def end_all() -> None:
    """End what is still running, all asked before any is waited for, and tidy up."""
    for program in _running:
        program.signal(signal.SIGTERM)
    for program in list(_running):
        program.end(patience=0.3, seconds=3.0)
    for directory in _directories:
        shutil.rmtree(directory, ignore_errors=True)


def _environment() -> dict[str, str]:
    """Our environment, with this very konnect importable and nothing that changes its flags."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PROXY_")}
    root = str(Path(konnect.__file__).resolve().parent.parent)
    path = [root, *filter(None, [environment.get("PYTHONPATH")])]
    environment.update(PYTHONPATH=os.pathsep.join(path), PYTHONUNBUFFERED="1")
    return environment


def temporary_directory() -> Path:
    """A directory with a short name (a unix socket's path has 107 bytes), removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="kn-"))
    _directories.append(path)
    return path


class Destination:
    """The destination process: a port for each kind that `destination.py` lists."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("destination.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.ports: dict[str, int] = json.loads(self.process.stdout.readline())
        atexit.register(self.end)

    def __getitem__(self, kind: str) -> str:
        """The address of a kind, as a client asks for it."""
        return f"127.0.0.1:{self.ports[kind]}"

    def live(self, kind: str) -> int:
        """How many connections of a kind are open."""
        return int(json.loads(http_get(self.ports["http"], "/live")[1]).get(kind, 0))

    def counted(self, what: str) -> int:
        """How many bytes so far: "taken" by `count`, or "flooded" by `flood`."""
        return int(json.loads(http_get(self.ports["http"], "/counted")[1]).get(what, 0))

    def end(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(5.0)
