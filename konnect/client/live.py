"""The open connections of a dialer, and who waits for the last of them to be gone."""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, succeed

T = TypeVar("T")


class Live(Generic[T]):
    """A set that can be waited on to become empty, once nothing is to be added any more."""

    def __init__(self) -> None:
        self.closed = False
        """Whether `close` has been called."""
        self._members: set[T] = set()
        self._waiters: list[Deferred[None]] = []

    def add(self, member: T) -> None:
        """`member` is open."""
        self._members.add(member)

    def discard(self, member: T) -> None:
        """`member` is gone."""
        self._members.discard(member)
        if self.closed and not self._members:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                waiter.callback(None)

    def members(self) -> list[T]:
        """What is open now."""
        return list(self._members)

    def gone(self) -> Deferred[None]:
        """Fires when nothing is open; to be called after `closed` was set. All callers are told."""
        if not self._members:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter
