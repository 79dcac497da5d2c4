"""Builds and runs `gopeer/`, the Go program around the public Go client library.

Built once a run, into a temporary directory; where there is no Go, or the modules cannot be had,
the tests that need it skip with one line that says so.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.certificates import pki
from tests.interop.pairs import Proxy
from tests.interop.processes import temporary_directory

SOURCE = Path(__file__).with_name("gopeer")
BUILD_SECONDS = 240


@functools.cache
def _built() -> Path | str:
    """The program, or why there is none."""
    go = shutil.which("go")
    if go is None:
        return "no `go` on this machine"
    built = temporary_directory() / "gopeer"
    command = [
        go,
        "build",
        "-trimpath",
        "-mod=readonly",
        "-buildvcs=false",
        "-o",
        str(built),
        ".",
    ]
    try:
        subprocess.run(
            command,
            cwd=SOURCE,
            env=os.environ | {"GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"},
            check=True,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"building it took more than {BUILD_SECONDS} s"
    except subprocess.CalledProcessError as failed:
        said: str = failed.stderr
        if _is_about_download(said):
            return "its modules cannot be fetched: " + said.strip().splitlines()[-1]
        raise AssertionError(f"gopeer does not build:\n{said}") from None
    return built


def _is_about_download(text: str) -> bool:
    """Whether `go build` failed for want of modules or a toolchain, not for what we wrote."""
    signs = ("dial tcp", "proxyconnect", "i/o timeout", "GOPROXY=off", "requires go >=")
    return any(sign in text for sign in signs)


def program() -> Path:
    """Path of the built program; skips the test that asks where there can be none."""
    built = _built()
    if isinstance(built, str):
        raise SkipTest(f"the Go client is not tested: {built}")
    return built


def arguments(proxy: Proxy, scenario: str, target: str, **flags: object) -> list[str]:
    """The command line of a scenario through a proxy."""
    command = [str(program()), f"-scenario={scenario}", f"-target={target}"]
    if proxy.uds:
        command.append(f"-uds={proxy.uds}")
    else:
        files = pki()
        command += [
            f"-address=127.0.0.1:{proxy.port}",
            f"-ca={files.frontend_ca}",
            f"-cert={files.frontend_client_cert}",
            f"-key={files.frontend_client_key}",
        ]
    return command + [f"-{name.replace('_', '-')}={value}" for name, value in flags.items()]


def run(
    proxy: Proxy,
    scenario: str,
    target: str,
    *,
    given: str = "",
    seconds: float = 60.0,
    **flags: object,
) -> dict[str, Any]:
    """Run a scenario to its end; returns the result object it printed."""
    done = subprocess.run(
        arguments(proxy, scenario, target, **flags),
        input=given,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if done.returncode != 0:
        raise AssertionError(f"gopeer {scenario} ended with {done.returncode}:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


class Held:
    """A `hold` scenario under way: `await_event` reads what it reports, line by line."""

    def __init__(self, proxy: Proxy, target: str, **flags: object) -> None:
        self.process = subprocess.Popen(
            arguments(proxy, "hold", target, **flags),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def await_event(self, name: str) -> dict[str, Any]:
        """The next event, which must be `name`. Bounded by the program's own limits."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"gopeer ended before it reported {name!r}")
        event: dict[str, Any] = json.loads(line)
        if event["event"] != name:
            raise AssertionError(f"wanted {name!r}, got {event!r}")
        return event

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(5.0)
        assert self.process.stdout is not None
        self.process.stdout.close()
