"""Name lookups that are not made any more when nobody waits for them.

Twisted's resolver asks the C library in the reactor's threads, ten at most. When name servers do
not answer, each lookup occupies a thread for many seconds. A dial gives up after five, but its
lookup stays in the queue, and the lookups of later dials wait behind it. The queue grows for as
long as the trouble lasts; when it is over, lookups that nobody waits for any more are made first;
and a program that stops waits for all of them.

Here lookups that were given up while they waited are skipped. There are more threads, so that the
name servers of one destination do not hold up all others, and a program's end does not wait for
them.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from functools import partial
from threading import Thread
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from konnect.log import make_logger

log = make_logger(__name__)

THREADS = 50
"""Lookups at a time; the threads are made when they are needed."""

_FAMILIES: dict[type[IAddress], int] = {IPv4Address: socket.AF_INET, IPv6Address: socket.AF_INET6}
_KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}


def install(reactor: Any) -> None:
    """Take the stock resolver's place; a resolver that somebody has chosen keeps it."""
    if not IReactorPluggableNameResolver.providedBy(reactor):
        return
    if type(reactor.nameResolver).__module__.startswith("twisted.internet."):
        reactor.installNameResolver(Lookups(reactor, _threads()))


def _threads() -> ThreadPool:
    """Threads that the interpreter's end does not wait for: a lookup cannot be stopped."""
    pool = ThreadPool(0, THREADS, "lookups")
    pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
    return pool


@implementer(IHostnameResolver)
class Lookups:
    """Asks the C library in the threads of `pool`."""

    def __init__(self, reactor: Any, pool: Any) -> None:
        self._reactor = reactor
        self._pool = pool

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """See IHostnameResolver; cancelling what it returns lets the receiver hear no more."""
        families = {_FAMILIES[kind] for kind in addressTypes or _FAMILIES}
        family = families.pop() if len(families) == 1 else socket.AF_UNSPEC
        lookup = _Lookup(
            hostName, resolutionReceiver, (portNumber, family, _KINDS[transportSemantics])
        )
        resolutionReceiver.resolutionBegan(lookup)
        if not self._pool.started:  # not before there is a need: a program may fork till then
            self._pool.start()
        try:
            found = deferToThreadPool(self._reactor, self._pool, lookup.ask)
        except RuntimeError:  # no thread can be started, for a limit of the process or the system
            lookup.problem = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            lookup.found([])
            return lookup
        found.addCallbacks(lookup.found, lookup.failed)
        found.addErrback(lambda failure: log.failure("a lookup could not be told", failure))
        return lookup


@implementer(IHostResolution)
class _Lookup:
    """One lookup: the name and what is asked of it."""

    def __init__(
        self, name: str, receiver: IResolutionReceiver, what: tuple[int, int, int]
    ) -> None:
        self.name = name
        self._receiver: IResolutionReceiver | None = receiver
        self._what = what
        self.problem: OSError | None = None
        """Why nothing was found; IResolutionReceiver has no word for it."""

    def cancel(self) -> None:
        """See IHostResolution."""
        self._receiver = None

    def ask(self) -> list[Any]:
        """In a thread."""
        if self._receiver is None:
            return []
        try:
            return socket.getaddrinfo(self.name, *self._what)
        except OSError as error:
            self.problem = error.with_traceback(None)
        except UnicodeError:  # of a name that is none
            pass
        return []

    def found(self, addresses: list[Any]) -> None:
        """Tell who asked, if anybody still waits."""
        for family, _, _, _, where in addresses:
            if self._receiver is not None:
                kind = IPv6Address if family == socket.AF_INET6 else IPv4Address
                self._receiver.addressResolved(kind("TCP", *where))
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.resolutionComplete()

    def failed(self, failure: Failure) -> None:
        """A mistake of ours: nothing was found."""
        log.failure("a lookup broke", failure)
        self.found([])
