"""Keepalive of connections: a ping after idleness, an end after an unanswered ping.

A quarter of the idle time is one tick, so the connection's receive path only sets a flag: no clock
is read and no timer is moved per packet. Idleness is therefore noticed between 1.0 and 1.25 times
the configured time.

One `Keepalive` watches all connections of a listener. All it keeps of them is when each
has its next tick.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from konnect.net.deadlines import Deadlines

TICKS = 4
ANSWER_TIMEOUT = 20.0
"""Seconds that a peer has to answer a ping (grpc's default, which upstream keeps)."""


class Watched(Protocol):
    """A connection that is watched."""

    @property
    def keepalive(self) -> Keepalive:
        """What watches it."""

    heard: bool
    """Set on every receipt."""
    quiet_ticks: int
    """How many ticks in a row nothing was heard; 0 at first."""

    def ask(self) -> None:
        """Nothing was heard for the idle time: send a ping."""

    def silent(self) -> None:
        """The ping was not answered."""


class Keepalive:
    """
    The watch.

    :param idle: seconds without a receipt after which a connection is asked; 0: never.
    :param lasting: a listener's, see `Deadlines`.
    """

    def __init__(self, clock: IReactorTime, idle: float, *, lasting: bool = False) -> None:
        self.idle = idle
        self._ticks: Deadlines[Watched] = Deadlines(clock, idle / TICKS, _tick, lasting=lasting)
        self._answers: Deadlines[Watched] = Deadlines(clock, ANSWER_TIMEOUT, _unanswered)

    def start(self, connection: Watched) -> None:
        """Begin to watch it."""
        if self.idle > 0:
            self._ticks.set(connection)

    def stop(self, connection: Watched) -> None:
        """Watch it no more; no delayed call is left."""
        if not self._ticks.drop(connection):
            self._answers.drop(connection)

    def tick(self, connection: Watched) -> None:
        """A quarter of the idle time is over."""
        if connection.heard:
            connection.heard = False
            connection.quiet_ticks = 0
        else:
            connection.quiet_ticks += 1
        if connection.quiet_ticks < TICKS:
            self._ticks.set(connection)
        else:
            self._answers.set(connection)
            connection.ask()

    def unanswered(self, connection: Watched) -> None:
        """The time for an answer is over."""
        if connection.heard:
            connection.heard = False
            connection.quiet_ticks = 0
            self._ticks.set(connection)
        else:
            connection.silent()


# Not methods of the watch: one that knew itself would be left to the garbage collector.


def _tick(connection: Watched) -> None:
    connection.keepalive.tick(connection)


def _unanswered(connection: Watched) -> None:
    connection.keepalive.unanswered(connection)
