"""The agent's way to a destination: an IP address is connected to with nothing between the dial and
the hub, neither endpoint nor Deferred nor factory."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from konnect.net.hub.connecting import Attempt, Taker
from konnect.net.hub.facts import Socket, resolved
from konnect.net.hub.loop import Hub
from konnect.net.hub.reactor import HubReactor
from konnect.net.hub.transport import StreamTransport

Make = Callable[[], Any]
"""Makes the protocol of a connection."""


def hub_reach(reactor: HubReactor) -> Callable[[str, int, Make, Taker], AddressAttempt]:
    """What `konnect.agent.dialer.Dialer` takes as its `reach`."""
    return partial(AddressAttempt, reactor.hub)


class AddressAttempt(Attempt):
    """
    Connects to an IP address (with its zone), for as long as it takes.

    :param make: makes the protocol when the socket is connected; what it raises is the failure.
    :param taker: gets the protocol, with its transport, which has no delay.
    """

    __slots__ = ("_make", "_peer")

    def __init__(self, hub: Hub, ip: str, port: int, make: Make, taker: Taker) -> None:
        self._make = make
        try:
            family, name = self._peer = resolved(ip, port)
        except OSError as error:  # a zone that does not exist
            Attempt.__init__(self, hub, socket.AF_INET6, None, taker, wrong=error)
        else:
            Attempt.__init__(self, hub, family, name, taker)

    def _succeed(self, sock: Socket, taker: Taker) -> None:
        # There is no timeout to stop.
        try:
            protocol = self._make()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException as error:
            StreamTransport(self._hub, sock, None, self._peer).discard()
            taker.failed(error)
            return
        transport = StreamTransport(self._hub, sock, protocol, self._peer, prompt=True)
        transport.begin()
        taker.connected(protocol)
