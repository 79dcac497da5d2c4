"""A peer whose host has vanished says nothing: the kernel asks it, on every TCP connection."""

from __future__ import annotations

import socket
from typing import Any

from twisted.protocols.policies import ProtocolWrapper

from konnect.net.keepalive import ANSWER_TIMEOUT
from konnect.net.tcp import QUIET
from tests.functional.peers import echo
from tests.functional.rig import WAYS, FunctionalTestCase

OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
)


def asked(transport: Any) -> list[int] | None:
    """The options of a transport's socket; None if it is no TCP socket."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    sock = socket.socket(fileno=transport.fileno())
    try:
        return None if sock.family == socket.AF_UNIX else [sock.getsockopt(*it) for it in OPTIONS]
    finally:
        sock.detach()


class VanishedPeerTests(FunctionalTestCase):
    """Keepalive of all TCP connections that tunnels have."""

    async def _asked_everywhere(self, kind: str) -> None:
        proxy = self.proxy(transport=kind)
        agent = self.agent(proxy, transport=kind)
        await self.linked(proxy)
        destination = self.destination(echo)
        for way in WAYS:
            await self.tunnel(proxy, way, destination, on_hub=True)
        (session,) = agent.sessions
        ends = [session.protocol, *session.link.holders[1:]]
        self.assertEqual(len(ends), 1 + len(WAYS))
        found = [asked(end.transport) for end in [*proxy.service.connections(), *ends]]
        # gRPC: both halves of the link and a client. Others may stop reading for as long as they
        # like.
        patience = round(ANSWER_TIMEOUT * 1000)
        self.assertEqual(found.count([1, QUIET, QUIET, patience]), 3)
        self.assertEqual(found.count([1, QUIET, QUIET, 0]), 1 + len(WAYS))
        self.assertEqual(found.count(None), 2)
        self.assertEqual(len(found), 6 + len(WAYS))

    async def test_on_the_hub(self) -> None:
        """Links, clients and destinations: all have it."""
        await self._asked_everywhere("hub")

    async def test_on_stock_transports(self) -> None:
        """There too."""
        await self._asked_everywhere("stock")
