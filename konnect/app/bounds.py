"""What a program holds and how it is paced, put together; the same for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from konnect.log import make_logger
from konnect.net.hub.loop import hub_of
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.link import Link
from konnect.tunnel.pace import Pace
from konnect.tunnel.pressure import WHOLE, Pressure

log = make_logger(__name__)


def make_pressure(
    ledger: Ledger,
    limit: int,
    links: Callable[[], Iterable[Link]],
    reactor: Any,
    also: Callable[[int], None] | None = None,
) -> Pressure:
    """
    Keeps what waits in a program's backlogs below `limit` bytes (0: no bound).

    While tunnels' windows are small, single reads are too: the rest of a read, beyond what a window
    allows, waits here.

    :param also: is told of the same share of each tunnel.
    """

    why = object()

    def told(share: int) -> None:
        hub_of(reactor).limit_reads(share, why)
        if also is not None:
            also(share)
        if share == WHOLE:
            log.info("less waits for slow readers: windows of tunnels are as before")
        else:
            log.warn(
                "{n} bytes wait for slow readers (--buffer-limit={limit}): windows of tunnels are"
                " {share} bytes at most until it is less",
                n=ledger.buffered,
                limit=limit,
                share=share,
            )

    return Pressure(ledger, limit, links, reactor.callLater, told)


def make_pace(ledger: Ledger, links: Callable[[], Iterable[Link]], reactor: Any) -> Pace:
    """Lets bulk make way for small messages, in the program's reads and on its links."""

    why = object()

    def told(most: int) -> None:
        hub_of(reactor).limit_reads(most, why)

    return Pace(ledger, links, reactor.callLater, told)
