"""`/debug/pprof/`: profiles of the running program, at the paths of Go's, for the same tools.

    profile?seconds=N     processor time of the next N seconds (30)
    allocs?seconds=N      memory that was allocated in the next N seconds (30) and not freed
    heap                  living objects by type, those of the start left out
    goroutine             the stacks of all threads
    block                 what held the event loop up, if it is watched

Each is a gzipped protobuf for `go tool pprof`, or with `?debug=1` text. One profile that takes time
is taken at a time, for at most `LONGEST` seconds; it ends when whoever asked for it leaves.
`trace`, `mutex` and `threadcreate` have no meaning here, and `cmdline` is not shown, as upstream.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.web.http import Request

from konnect.log import make_logger
from konnect.ops.cpu_sampler import CpuSampler
from konnect.ops.memory import AllocationTrace, object_profile
from konnect.ops.profile import Profile
from konnect.ops.stacks import thread_profile, thread_text
from konnect.ops.web import Answer, parameters

log = make_logger(__name__)

SECONDS = 30
"""How long is looked, unless somebody says otherwise (Go's)."""

LONGEST = 300
"""How long is looked at most."""

HEADERS = {"X-Content-Type-Options": "nosniff"}
_PROTOBUF = "application/octet-stream"


class Recording(Protocol):
    """A profile that takes time."""

    def start(self) -> None: ...

    def stop(self) -> Profile: ...


class Profiling:
    """
    The pages.

    :param clock: ends recordings.
    :param blocked: the profile of what held the event loop up; None: it is not watched.
    """

    def __init__(self, clock: IReactorTime, blocked: Callable[[], Profile] | None = None) -> None:
        self._clock = clock
        self._blocked = blocked
        self._recording: Deferred[None] | None = None

    def moved(self, request: Request) -> Answer:
        """`/debug/pprof`, which Go's server completes."""
        place = "/debug/pprof/"
        query = request.uri.decode("latin-1").partition("?")
        place += query[1] + query[2]
        body = f'<a href="{html.escape(place)}">Moved Permanently</a>.\n\n'.encode()
        return Answer(body, 301, "text/html; charset=utf-8", {"Location": place})

    def page(self, request: Request) -> Answer | Deferred[Answer]:
        """Whatever is below `/debug/pprof/`."""
        name = request.path.removeprefix(b"/debug/pprof/").decode("latin-1")
        asked = parameters(request)
        text = _number(asked.get("debug", "0")) > 0
        seconds = _number(asked.get("seconds", "0"))
        if name == "":
            return Answer(_INDEX.encode(), 200, "text/html; charset=utf-8", HEADERS)
        if name == "symbol":
            return Answer(b"num_symbols: 0\n", headers=HEADERS)
        if name == "goroutine" and text:
            return Answer(thread_text().encode("utf-8", "replace"), headers=HEADERS)
        if name == "goroutine":
            return _answer(name, thread_profile(), text)
        if name == "heap":
            return _answer(name, object_profile(), text)
        if name == "block":
            if self._blocked is None:
                return _refusal(
                    404, "The event loop is not watched: set --enable-contention-profiling"
                )
            return _answer(name, self._blocked(), text)
        if name in ("profile", "allocs"):
            recording = CpuSampler() if name == "profile" else AllocationTrace()
            return self._record(name, recording, seconds, text)
        if name == "trace":
            return _refusal(501, "There is no execution tracer in Python: see profile and block")
        return _refusal(404, "Unknown profile")

    def _record(
        self, name: str, recording: Recording, seconds: int, text: bool
    ) -> Answer | Deferred[Answer]:
        if seconds <= 0:
            seconds = SECONDS
        if seconds > LONGEST:
            return _refusal(400, f"A profile takes at most {LONGEST} seconds")
        if self._recording is not None:
            return _refusal(500, "Could not enable profiling: another profile is being taken")
        log.info("taking the profile {name} for {seconds} seconds", name=name, seconds=seconds)
        recording.start()
        waiting = self._recording = deferLater(self._clock, seconds)

        def over(result: object) -> object:
            self._recording = None
            profile = recording.stop()
            # It fails when nobody waits any more: what was found is thrown away.
            return _answer(name, profile, text) if result is None else result

        return waiting.addBoth(over)  # type: ignore[return-value]

    def stop(self) -> None:
        """End a profile that is being taken; its asker gets no answer."""
        if self._recording is not None:
            self._recording.cancel()


def _answer(name: str, profile: Profile, text: bool) -> Answer:
    if text:
        return Answer(profile.folded(), headers=HEADERS)
    named = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(profile.pprof(), 200, _PROTOBUF, named)


def _refusal(status: int, why: str) -> Answer:
    return Answer(f"{why}\n".encode(), status, headers={**HEADERS, "X-Go-Pprof": "1"})


def _number(text: str) -> int:
    """As Go reads it: what is no number is 0."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


_INDEX = """\
<html><head><title>/debug/pprof/</title></head><body>
<h1>/debug/pprof/</h1>
<p>Profiles for <code>go tool pprof</code>, or with <code>?debug=1</code> as text: stacks folded for
flame graphs.</p>
<table>
<tr><td><a href="profile?seconds=30">profile</a></td><td>processor time of the next
seconds</td></tr>
<tr><td><a href="block?debug=1">block</a></td><td>what held the event loop up since the start
(--enable-contention-profiling)</td></tr>
<tr><td><a href="heap?debug=1">heap</a></td><td>living objects by type,
those of the start left out</td></tr>
<tr><td><a href="allocs?seconds=30">allocs</a></td><td>what is allocated in the next seconds and not
freed</td></tr>
<tr><td><a href="goroutine?debug=1">goroutine</a></td><td>the stacks of all threads</td></tr>
</table>
</body></html>
"""
