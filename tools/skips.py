#!/usr/bin/env python3
"""
Say whether the tests that a run has skipped are those that may be.

    python3 tools/skips.py SECTION LOG

LOG is what trial printed, SECTION which of .ci/run's runs it was. Ends with 1 when a test was
skipped that is not in the list below: a group of tests whose skip nobody looks at is a group that
nobody runs. A skip for want of something is good only where that thing is wanting.

Only the standard library is used here.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SECTIONS = ("layers", "tests", "stock", "kubernetes", "wheel")


class Skip(NamedTuple):
    """One test that was skipped, and what it said."""

    test: str
    reason: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """Skips that are no fault."""

    tests: str
    """A regular expression for the whole of a test's name."""
    reason: str
    """One for the whole of what it says."""
    because: str
    """Why nothing is lost."""
    sections: Sequence[str] = SECTIONS
    """Where."""
    when: Callable[[], bool] = lambda: True
    """Whether it can be so on this machine."""


def lacks(program: str) -> Callable[[], bool]:
    """Whether the machine does not have a program."""
    return lambda: shutil.which(program) is None


def lacks_function(name: str) -> Callable[[], bool]:
    """Whether the C library does not have a function."""
    return lambda: not hasattr(ctypes.CDLL(None), name)


def lacks_ipv6() -> bool:
    """Whether nothing can listen on ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return True
    return False


def lacks_count_of_files() -> bool:
    """Whether the kernel (before Linux 6.2) does not tell how many files are open."""
    return not os.stat("/proc/self/fd").st_size


ALLOWED = (
    Allowed(
        r"tests\.packaging\.test_(image|install|release)\..+",
        r"needs a package index and a minute: .*",
        "the section `wheel` runs them",
        sections=("tests",),
    ),
    Allowed(
        r"tests\.functional\.test_cycles\..+",
        r"Twisted's own transports",
        "they are in cycles themselves; the section `tests` runs these with ours",
        sections=("stock",),
    ),
    Allowed(
        r"tests\.(interop|deploy)\..+",
        r"(the Go client is not tested: )?no `go` on this machine",
        "Go is not asked for",
        when=lacks("go"),
    ),
    Allowed(
        r"tests\.interop\.test_curl\..+",
        r"no `curl` on this machine",
        "curl is not asked for",
        when=lacks("curl"),
    ),
    Allowed(
        r"tests\.(interop\.test_openssl|net\.test_tls_openssl|app\.test_certs)\..+",
        r"no (`openssl`|openssl command) on this machine",
        "openssl is not asked for",
        when=lacks("openssl"),
    ),
    Allowed(
        r"tests\.deploy\.test_systemd\..+",
        r"no systemd-analyze on this machine",
        "systemd is not asked for",
        when=lacks("systemd-analyze"),
    ),
    Allowed(
        r"tests\.(net\.test_endpoints|agent\.test_dialer_sockets)\..+\.test_ipv6",
        r"no IPv6 on this machine|there is no IPv6 loopback",
        "containers often have no IPv6",
        when=lacks_ipv6,
    ),
    Allowed(
        r"tests\.net\.test_unix\..+",
        r"only root can make files of two users",
        "nobody has to be root for the checks",
        when=lambda: os.geteuid() != 0,
    ),
    Allowed(
        r"tests\.ops\.test_process_metrics\..+",
        r"before Linux 6\.2 only a list .*",
        "the list is what is used there",
        when=lacks_count_of_files,
    ),
    Allowed(
        r"tests\.app\.test_allocator\..+",
        r"this C library has no mallopt",
        "it is not tuned there",
        when=lacks_function("mallopt"),
    ),
    Allowed(
        r"tests\.app\.test_allocator\..+",
        r"this C library has no malloc_trim",
        "nothing is given back there",
        when=lacks_function("malloc_trim"),
    ),
)


class Unreadable(Exception):
    """The log is not that of a run which came to its end; the text says why."""


def read(log: str) -> list[Skip]:
    """The skips that trial's report lists. Raises Unreadable."""
    totals = re.findall(r"^(?:PASSED|FAILED)(?: \((.*)\))?$", log, re.MULTILINE)
    if len(totals) != 1:
        raise Unreadable(f"there are {len(totals)} summaries of trial, not one")
    found = []
    for block in re.findall(
        r"^=+\n\[SKIPPED\]\n(.*?)(?=^[=-]{20,}$)", log, re.MULTILINE | re.DOTALL
    ):
        reason, _, tests = block.strip().rpartition("\n\n")
        found += [Skip(test, reason.strip()) for test in tests.split("\n")]
    counted = re.search(r"\bskips=(\d+)", totals[0])
    if len(found) != (int(counted[1]) if counted else 0):
        raise Unreadable(f"{len(found)} skips are listed, but the summary says: {totals[0]}")
    return found


def allowed(skip: Skip, section: str) -> Allowed | None:
    """What allows it, if anything does."""
    for entry in ALLOWED:
        named = re.fullmatch(entry.tests, skip.test) and re.fullmatch(entry.reason, skip.reason)
        if named and section in entry.sections and entry.when():
            return entry
    return None


def main(words: Sequence[str]) -> int:
    """Print each reason once, and return the exit code."""
    if len(words) != 2 or words[0] not in SECTIONS:
        print(f"usage: skips.py {{{','.join(SECTIONS)}}} LOG", file=sys.stderr)
        return 2
    section, file = words
    try:
        skips = read(Path(file).read_text(encoding="utf-8", errors="replace"))
    except (OSError, Unreadable) as error:
        print(f"the tests' log cannot be judged: {error}", file=sys.stderr)
        return 1
    good: dict[str, int] = {}
    bad = []
    for skip in skips:
        entry = allowed(skip, section)
        if entry is None:
            bad.append(skip)
        else:
            line = f"{skip.reason}: that is allowed, since {entry.because}"
            good[line] = good.get(line, 0) + 1
    for line, count in good.items():
        print(f"skipped {count}: {line}")
    for skip in bad:
        print(f"skipped, and may not be here: {skip.test}: {skip.reason}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
