"""How the files of TLS are followed, by both programs: a flag, and threads to look in."""

from __future__ import annotations

from typing import Any

from twisted.internet.threads import deferToThreadPool

from konnect.app import kinds
from konnect.app.flags import Flag
from konnect.net.renewal import Renewal
from konnect.tunnel.ledger import Ledger

TLS_FLAGS = (
    Flag(
        "tls-reload-interval",
        kinds.DURATION,
        10.0,
        "How often to look whether certificates, keys or authorities have changed on disk; new"
        " connections use the new ones. 0: only on SIGHUP.",
    ),
)


def make_renewal(ledger: Ledger, reactor: Any, interval: float) -> Renewal:
    """What follows the TLS files of a program; it reads in the reactor's threads."""
    return Renewal(
        ledger,
        reactor,
        lambda look: deferToThreadPool(reactor, reactor.getThreadPool(), look),
        interval=interval,
    )
