"""One attempt to connect a socket on the hub: success, failure, timeout or cancellation, once."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Protocol

from twisted.internet.error import ConnectBindError, ConnectError, TimeoutError, getConnectError

from konnect.net.hub.facts import Socket, resolved
from konnect.net.hub.loop import BROKEN, OUT, Hub
from konnect.net.tcp import DRAWN_PORTS, be_watchful, meets_itself, refusal

_UNDER_WAY = (errno.EINPROGRESS, errno.EALREADY)
_KIND = socket.SOCK_STREAM | socket.SOCK_NONBLOCK


class Taker(Protocol):
    """Who gets what an attempt comes to: one of these is called, once and never at once."""

    def connected(self, result: Any) -> None:
        """The socket, which is the taker's from then on. Its descriptor may still be served by the
        hub: whoever serves it next takes it over."""

    def failed(self, error: Any) -> None:
        """A Twisted ConnectError, or what was `wrong`; anything else is a mistake of ours."""


class Attempt:
    """
    Connects to `name`, an address of `family`.

    :param timeout: seconds, None for as long as the kernel tries.
    :param local: numeric address and port to come from.
    :param wrong: why it has failed already.
    """

    __slots__ = ("_hub", "_outcome", "_port", "_sock", "_taker", "_timeout_call", "fd", "mask")

    def __init__(
        self,
        hub: Hub,
        family: int,
        name: Any,
        taker: Taker,
        *,
        timeout: float | None = None,
        local: tuple[str, int] | None = None,
        wrong: Exception | None = None,
    ) -> None:
        self._hub = hub
        self._taker: Taker | None = taker
        self._outcome: Exception | None = None
        self._timeout_call: Any = None
        self._sock: Socket | None = None
        self._port = 0  # the one that is connected to, if our own may be the same
        self.fd = -1
        self.mask = 0
        if wrong is not None:
            self._later(wrong)
            return
        try:
            sock = self._sock = Socket(family, _KIND)
            if family != socket.AF_UNIX:
                if local is not None or name[1] in DRAWN_PORTS:
                    self._port = name[1]
                be_watchful(sock)
            if local is not None:
                sock.bind(resolved(*local)[1])
        except OSError as error:
            self._later(ConnectBindError(error.errno, error.strerror))
            return
        self.fd = sock.fileno()
        try:
            code = sock.connect_ex(name)
        except (OSError, OverflowError, ValueError) as error:
            self._later(ConnectError(getattr(error, "errno", None), str(error)))
            return
        if code in _UNDER_WAY:
            hub.add(self, OUT)
        elif code:
            self._later(getConnectError((code, os.strerror(code))))
            return
        else:
            hub.add(self, 0)
            hub.flush_later(self)
        if timeout is not None:
            self._timeout_call = hub.reactor.callLater(timeout, self._timed_out)

    def _later(self, error: Exception) -> None:
        self._outcome = error
        self._hub.flush_later(self)

    def cancel(self) -> None:
        """Give up: nothing is called any more, and the socket is closed when the turn ends."""
        if self._taker is not None:
            self._settle()
            self._hub.flush_later(self)

    # -- the hub's channel

    def handle(self, events: int) -> None:
        """The kernel has an answer."""
        sock, taker = self._sock, self._taker
        if sock is None or taker is None:
            return
        # An error is always an event too (the kernel's tcp_poll), so success needs no question.
        if events & BROKEN:
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._fail(getConnectError((code, os.strerror(code))))
                return
        if self._port and meets_itself(sock, self._port):
            self._fail(refusal())
            return
        self._taker = self._sock = None
        self._succeed(sock, taker)

    def flush(self) -> None:
        """What was known at once is told, or what was given up is closed."""
        sock, taker = self._sock, self._taker
        if taker is None:
            self._close()
        elif self._outcome is not None:
            self._fail(self._outcome)
        else:
            assert sock is not None
            self._taker = self._sock = None
            self._succeed(sock, taker)

    def failed(self, error: BaseException) -> None:
        """See `konnect.net.hub.channel.Channel`."""
        if isinstance(error, OSError):
            error = ConnectError(error.errno, error.strerror)
        if self._taker is None:
            self._close()
        else:
            self._fail(error)

    def _timed_out(self) -> None:
        self._timeout_call = None
        self._outcome = TimeoutError()
        self._hub.flush_later(self)

    def _succeed(self, sock: Socket, taker: Taker) -> None:
        """It is connected, and no longer this attempt's."""
        if self._timeout_call is not None:
            self._stop_timeout()
        taker.connected(sock)

    def _fail(self, error: BaseException) -> None:
        taker = self._taker
        assert taker is not None
        self._settle()
        self._close()
        taker.failed(error)

    def _settle(self) -> None:
        self._taker = None
        if self._timeout_call is not None:
            self._stop_timeout()

    def _stop_timeout(self) -> None:
        self._timeout_call.cancel()
        self._timeout_call = None

    def _close(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            if self.fd >= 0:
                self._hub.drop(self)
            sock.close()
            self.fd = -1
