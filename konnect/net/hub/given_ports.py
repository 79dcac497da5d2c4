"""Listening on the hub on a socket that is bound and listens already, as systemd's do."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.error import CannotListenError

from konnect.net.hub.facts import address_of
from konnect.net.hub.loop import Hub
from konnect.net.hub.ports import Port
from konnect.net.tls import ServerTls


def duplicate(descriptor: int) -> socket.socket:
    """A socket of our own for somebody's descriptor; raises OSError if it is none of a socket."""
    ours = os.dup(descriptor)
    try:
        return socket.socket(fileno=ours)
    except OSError:
        os.close(ours)
        raise


class GivenPort(Port):
    """
    Accepts on somebody else's socket, TCP or unix. It is never shut down, and a socket's file
    stays as it is: others may have the socket too, and whoever gave it gives it again.

    :param descriptor: of the socket; duplicated.
    """

    def __init__(
        self, hub: Hub, descriptor: int, factory: Any, *, tls: ServerTls | None = None
    ) -> None:
        super().__init__(hub, factory, 0, tls)
        self._descriptor = descriptor
        self._name: Any = None

    def _bound(self) -> socket.socket:
        sock = duplicate(self._descriptor)
        sock.setblocking(False)
        self._name = address_of(sock.family, sock.getsockname())
        return sock

    def _listen(self, sock: socket.socket) -> None:
        # How many may wait is up to who listens.
        self._tune(sock)

    def _cannot(self, error: OSError) -> CannotListenError:
        return CannotListenError(None, self._name, error)
