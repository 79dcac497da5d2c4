"""One attempt to connect a socket on the hub: success, failure, timeout or cancellation, once."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectBindError, ConnectError, TimeoutError, getConnectError

from konnect.net.hub.facts import be_prompt, resolved
from konnect.net.hub.loop import OUT, Hub

_UNDER_WAY = (errno.EINPROGRESS, errno.EALREADY)


class Attempt:
    """
    Connects to `name`, an address of `family`; one of the callbacks is called, never at once.

    :param connected: takes the socket, which it owns from then on. Its descriptor may still be
        served by the hub: whoever serves it next takes it over.
    :param failed: takes a Twisted ConnectError.
    :param timeout: seconds, None for as long as the kernel tries.
    :param local: numeric address and port to come from.
    """

    def __init__(
        self,
        hub: Hub,
        family: int,
        name: Any,
        connected: Callable[[socket.socket], None],
        failed: Callable[[Exception], None],
        *,
        timeout: float | None = None,
        local: tuple[str, int] | None = None,
        prompt: bool = False,
    ) -> None:
        self._hub = hub
        self._name = name
        self._connected: Callable[[socket.socket], None] | None = connected
        self._failed: Callable[[Exception], None] | None = failed
        self._outcome: Exception | None = None
        self._timeout_call: Any = None
        self._sock: socket.socket | None = None
        self.fd = -1
        self.mask = 0
        try:
            sock = self._sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            if local is not None:
                sock.bind(resolved(*local)[1])
            if prompt:
                be_prompt(sock)
        except OSError as error:
            self._later(ConnectBindError(error.errno, error.strerror))
            return
        self.fd = sock.fileno()
        self._try(sock)
        if timeout is not None and self._outcome is None:
            self._timeout_call = hub.reactor.callLater(timeout, self._timed_out)

    def _try(self, sock: socket.socket) -> None:
        try:
            code = sock.connect_ex(self._name)
        except (OSError, OverflowError, ValueError) as error:
            self._later(ConnectError(getattr(error, "errno", None), str(error)))
            return
        if code in _UNDER_WAY:
            self._hub.add(self, OUT)
        elif code:
            self._later(getConnectError((code, os.strerror(code))))
        else:
            self._hub.add(self, 0)
            self._hub.flush_later(self)

    def _later(self, error: Exception) -> None:
        self._outcome = error
        self._hub.flush_later(self)

    def cancel(self) -> None:
        """Give up: nothing is called any more, and the socket is closed when the turn ends."""
        if self._failed is not None:
            self._settle()
            self._hub.flush_later(self)

    # -- the hub's channel

    def handle(self, events: int) -> None:
        """The kernel has an answer."""
        sock = self._sock
        if sock is None or self._failed is None:
            return
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(getConnectError((code, os.strerror(code))))
        else:
            self._succeed()

    def flush(self) -> None:
        """What was known at once is told, or what was given up is closed."""
        if self._failed is None:
            self._close()
        elif self._outcome is not None:
            self._fail(self._outcome)
        else:
            self._succeed()

    def failed(self, error: BaseException) -> None:
        """See `konnect.net.hub.loop.Channel`."""
        self._settle()
        self._close()

    def _timed_out(self) -> None:
        self._timeout_call = None
        self._outcome = TimeoutError()
        self._hub.flush_later(self)

    def _succeed(self) -> None:
        connected, sock = self._connected, self._sock
        assert connected is not None and sock is not None
        self._settle()
        self._sock = None
        connected(sock)

    def _fail(self, error: Exception) -> None:
        failed = self._failed
        assert failed is not None
        self._settle()
        self._close()
        failed(error)

    def _settle(self) -> None:
        self._connected = self._failed = None
        if self._timeout_call is not None:
            self._timeout_call.cancel()
            self._timeout_call = None

    def _close(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            if self.fd >= 0:
                self._hub.drop(self)
            sock.close()
            self.fd = -1
