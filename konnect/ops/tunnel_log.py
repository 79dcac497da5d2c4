"""One log line for each tunnel and each failed dial, when it is over.

A tunnel's end only puts its account aside. A moment later one log event carries all the accounts
there are; who formats events (`konnect.app.log_format`) makes a line of each, other observers get
them as one text. So a tunnel costs the log a few microseconds, and not the log's whole machinery.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from konnect.log import make_logger
from konnect.ops.account_lines import LOGGER, Line, bare_line
from konnect.tunnel.account import Account

log = make_logger(LOGGER)

DELAY = 0.25
"""Seconds that an account waits for others."""

WAITING = 1024
"""Accounts that wait at most; with one more they are all written at once."""


class Accounts:
    """The accounts of one event: `lines` makes them text, in the order of the tunnels' ends."""

    __slots__ = ("_accounts", "_side")

    def __init__(self, side: str, accounts: list[tuple[float, Account]]) -> None:
        self._side = side
        self._accounts = accounts

    def lines(self, line: Line) -> list[str]:
        """A line for each."""
        side = self._side
        return [line(at, side, account) for at, account in self._accounts]

    def __str__(self) -> str:
        return "".join(self.lines(bare_line)).rstrip("\n")


class TunnelLog:
    """
    What a ledger's `account` is set to; `close` writes what still waits.

    :param side: the word for whose links they are: `agent`, or `proxy`.
    :param wall: the time of day, in seconds since 1970.
    """

    def __init__(
        self, clock: IReactorTime, side: str, wall: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._side = side
        self._wall = wall
        self._waiting: list[tuple[float, Account]] = []
        self._call: IDelayedCall | None = None

    def __call__(self, account: Account) -> None:
        """Put the account of a tunnel that ends now aside."""
        waiting = self._waiting
        waiting.append((self._wall(), account))
        if self._call is None:
            self._call = self._clock.callLater(DELAY, self._write)
        elif len(waiting) > WAITING:
            self.close()

    def close(self) -> None:
        """Write what waits at once."""
        if self._call is not None:
            self._call.cancel()
            self._write()

    def _write(self) -> None:
        self._call = None
        waiting, self._waiting = self._waiting, []
        log.info("{accounts}", accounts=Accounts(self._side, waiting))
