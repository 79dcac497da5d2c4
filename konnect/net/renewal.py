"""Follows the files of TLS contexts: what changes on disk is what new connections use.

A file may be written anew, renamed over or replaced through a symbolic link (as Kubernetes does
with its `..data`); all of these change what `stat` says of where its path leads. Looking and
reading happen in a thread, since a file may lie on something slow; contexts change hands in the
reactor's. Live connections keep what they were made with.

Files that cannot be used leave everything as it is. That is an error line, but only when they are
still so at the next look: a certificate and its key are two files, which nobody can replace at
once.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from konnect.log import make_logger
from konnect.net.tls import Tls
from konnect.net.tls_files import Loaded, Marks
from konnect.tunnel.ledger import Ledger

log = make_logger(__name__)

SOON = 7 * 86400.0
"""Seconds before the end of a certificate from which on it is worth a warning."""

Look: TypeAlias = tuple[Marks, Loaded | Exception]
"""The files as they were found, and what they gave."""


class Followed:
    """The TLS of one listener, or of the way to one proxy."""

    def __init__(self, name: str, tls: Tls) -> None:
        self.name = name
        self.tls = tls
        self.judged = tls.loaded.marks
        """The files that are in use, or were found unusable for good."""
        self.doubted: Marks | None = None
        """Files that could not be used at the last look, the first one that saw them."""
        self.failed = False
        """Whether the files that were judged last could not be used."""

    def look(self, told: bool) -> Look | None:
        """What the files give, None if they are as before; `told`: read them anyway. Runs in a
        thread and changes nothing."""
        source = self.tls.source
        marks = source.marks()
        if marks == self.judged and not told:
            return None
        try:
            return marks, source.load()
        except Exception as error:
            return marks, error


def log_failure(failure: Failure) -> None:
    """What should not happen must not end the looking."""
    log.failure("looking at the TLS files failed: {log_failure.value}", failure=failure)


class Renewal:
    """
    Follows the files of one program's TLS.

    :param clock: of the one timer.
    :param in_thread: runs a function in another thread; fires with its result.
    :param interval: seconds between two looks; 0: only when `look` is called.
    :param now: POSIX time, to tell certificates that end soon.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: IReactorTime,
        in_thread: Callable[[Callable[[], Any]], Deferred[Any]],
        *,
        interval: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._in_thread = in_thread
        self._interval = interval
        self._now = now
        self._followed: list[Followed] = []
        self._timer: IDelayedCall | None = None
        self._looking: Deferred[None] | None = None
        self._told = False
        self._running = False

    def follow(self, name: str, endpoint: Any) -> None:
        """Look after the TLS of this endpoint, if it has one (konnect's own `mtls:` do)."""
        tls = getattr(endpoint, "tls", None)
        if isinstance(tls, Tls):
            self._followed.append(Followed(name, tls))
            self._note(name, tls.loaded)

    def start(self) -> None:
        """Begin to look."""
        self._running = True
        self._wait()

    def stop(self) -> None:
        """Look no more. A thread that is at it is not waited for, what it finds not used."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """Read all files now, whether they seem changed or not."""
        self._told = True
        if self._running and not self._busy():
            self._begin()

    # -- looking

    def _busy(self) -> bool:
        return self._looking is not None and not self._looking.called

    def _wait(self, _: object = None) -> None:
        if self._interval > 0 and self._running and self._followed and self._timer is None:
            self._timer = self._clock.callLater(self._interval, self._time)

    def _time(self) -> None:
        self._timer = None
        # A slow file holds up the next look and nothing else: whoever looks now waits again then.
        if not self._busy():
            self._begin()

    def _begin(self) -> None:
        looking = self._looking = Deferred.fromCoroutine(self._look())
        looking.addErrback(log_failure)
        looking.addCallback(self._wait)

    async def _look(self) -> None:
        again = True
        while again:
            told, self._told = self._told, False
            for followed in self._followed:
                found = await self._in_thread(partial(followed.look, told))
                if found is not None and self._running:
                    self._judge(followed, found, told)
            again = self._told and self._running

    def _judge(self, followed: Followed, found: Look, told: bool) -> None:
        marks, result = found
        if isinstance(result, Exception):
            if not told and followed.doubted != marks:
                followed.doubted = marks
                return
            followed.judged = marks
            followed.failed = True
            self._ledger.tls_renewals["failed"] += 1
            log.error(
                "{name}: the changed TLS files cannot be used, new connections go on with the old"
                " ones: {error}",
                name=followed.name,
                error=result,
            )
            return
        known = result.digest == followed.tls.loaded.digest
        worth_a_line = told or followed.failed
        followed.judged, followed.doubted, followed.failed = result.marks, None, False
        if known:
            if worth_a_line:
                log.info("{name}: the TLS files are as before", name=followed.name)
            return
        followed.tls.take(result)
        self._ledger.tls_renewals["taken"] += 1
        log.info("{name}: new connections use the changed TLS files", name=followed.name)
        self._note(followed.name, result)

    def _note(self, name: str, loaded: Loaded) -> None:
        """Write down when the certificates end, and warn of those that do so soon."""
        for expiry in loaded.expiries:
            self._ledger.certificate_ends[name, expiry.kind, expiry.file] = expiry.time
            left = expiry.time - self._now()
            if left < SOON:
                log.warn(
                    "{name}: the {kind} in {file} {ends} {when}: renew it",
                    name=name,
                    kind=expiry.kind,
                    file=expiry.file,
                    ends="ends" if left > 0 else "has ended",
                    when=datetime.datetime.fromtimestamp(expiry.time, datetime.UTC).isoformat(" "),
                )
