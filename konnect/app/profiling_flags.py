"""The flags that let an operator look into a running program, and what they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twisted.python import usage

from konnect.app import kinds
from konnect.app.flags import Flag
from konnect.ops.profiling import Profiling
from konnect.ops.stalls import StallWatch

PROFILING_FLAGS = (
    Flag(
        "enable-profiling",
        kinds.BOOL,
        False,
        "Serve profiles at /debug/pprof/ of the admin port: processor time, memory, threads.",
    ),
    Flag(
        "enable-contention-profiling",
        kinds.BOOL,
        False,
        "Watch the event loop from a thread, for the profile /debug/pprof/block of what holds it"
        " up; needs --enable-profiling.",
    ),
)


def require_profiling(options: Mapping[str, Any]) -> None:
    """Upstream's check; raises usage.UsageError."""
    if options["enable-contention-profiling"] and not options["enable-profiling"]:
        raise usage.UsageError(
            "if --enable-contention-profiling is set, --enable-profiling must also be set"
        )


@dataclass(frozen=True, slots=True)
class ProfilingConfig:
    """What of a running program can be looked at."""

    enabled: bool = False
    """Whether the admin port has profiles."""
    contention: bool = False
    """Whether the event loop is watched, for the profile of what holds it up."""


def read_profiling(options: Mapping[str, Any]) -> ProfilingConfig:
    """The values of PROFILING_FLAGS."""
    return ProfilingConfig(options["enable-profiling"], options["enable-contention-profiling"])


class Inspection:
    """What is looked at of one program, from `start` to `stop`; `pages` are None without."""

    def __init__(self, reactor: Any, config: ProfilingConfig) -> None:
        self._watch = StallWatch(reactor) if config.contention else None
        blocked = self._watch.profile if self._watch is not None else None
        self.pages = Profiling(reactor, blocked) if config.enabled else None

    def start(self) -> None:
        """Begin to watch, if that was asked for."""
        if self._watch is not None:
            self._watch.start()

    def stop(self) -> None:
        """Leave nothing running."""
        if self._watch is not None:
            self._watch.stop()
        if self.pages is not None:
            self.pages.stop()
