"""Ways to let go of a transport: half-close where it exists, and a reset that loses nothing
sent."""

from __future__ import annotations

import fcntl
import select
import struct
import termios
from collections.abc import Callable
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IDelayedCall, IPullProducer, IReactorTime, ISSLTransport
from twisted.protocols.policies import ProtocolWrapper
from zope.interface import implementer

POLL = 0.02
"""Seconds between two looks at what the kernel has still to send."""


def can_half_close(transport: Any) -> bool:
    """
    Whether the write side alone can be closed.

    The hub's transports say so; those with TLS send close_notify (RFC 8446 section 6.1). Twisted's
    TLS transports only claim to: they forward the call to the raw socket, so that the peer would
    see a truncated stream.
    """
    says: bool | None = getattr(transport, "closes_one_direction", None)
    if says is not None:
        return says
    return hasattr(transport, "loseWriteConnection") and not ISSLTransport.providedBy(transport)


def ended_below(transport: Any) -> bool:
    """
    Whether a TLS transport is ending by itself, since the peer's close_notify has come.

    Twisted then closes the socket's transport but keeps the producer on it, and one that is paused
    would keep the socket open for ever: whoever finds this must unregister.
    """
    below = getattr(transport, "transport", None) if ISSLTransport.providedBy(transport) else None
    return bool(getattr(below, "disconnecting", False))


def hung_up(transport: Any) -> bool:
    """
    Whether the peer of a unix socket has closed it whole, and not only its sending side.

    TCP cannot tell the two apart (both are a FIN) until something is sent. The hub's transports
    know it from the event by which they saw the end, mostly; else the kernel is asked.
    """
    return getattr(transport, "hung_up", False) or bool(_condition(transport) & select.POLLHUP)


def shows_hang_up(transport: Any) -> bool:
    """Whether `hung_up` can tell: on a unix socket."""
    return isinstance(transport.getPeer(), UNIXAddress)


def ended_whole(transport: Any) -> bool:
    """
    Whether a TLS peer that has sent close_notify has ended its TCP side too.

    One that only ended its sending direction keeps TCP open, since TLS still has to carry its
    acknowledgements and, at the end, nothing else; one that closes (Go's `Close`, a program that
    exits) sends the FIN right behind. On a plain transport the FIN says nothing of the kind.
    """
    if not ISSLTransport.providedBy(transport):
        return False
    return bool(_condition(transport, select.POLLRDHUP) & select.POLLRDHUP)


def broken(transport: Any) -> bool:
    """Whether the peer has reset the connection; a transport that is not read does not say so."""
    return bool(_condition(transport) & select.POLLERR)


def _condition(transport: Any, asked: int = 0) -> int:
    try:
        poll = select.poll()
        poll.register(transport.fileno(), asked)
        found = poll.poll(0)
        return found[0][1] if found else 0
    except (AttributeError, OSError, TypeError, ValueError):
        return 0


def unsent(transport: Any) -> int:
    """Bytes that the kernel has taken and the peer's kernel has not; 0 where that is unknown."""
    return _count(transport, termios.TIOCOUTQ)


def unread(transport: Any) -> int:
    """Bytes that have come and that nobody has read yet; 0 where that is unknown."""
    return _count(transport, termios.FIONREAD)


def _count(transport: Any, of_what: int) -> int:
    try:
        answer = fcntl.ioctl(transport.fileno(), of_what, b"\0" * 4)
        return int(struct.unpack("i", answer)[0])
    except (AttributeError, OSError, TypeError, ValueError):
        return 0


@implementer(IPullProducer)
class AbortWhenSent:
    """
    Resets a connection as soon as the peer's kernel has everything that was written before.

    A reset at once would throw away what is still in the send buffers. The owner limits the wait.
    """

    def __init__(self, transport: Any, clock: IReactorTime, abort: Callable[[], None]) -> None:
        # TLS hands everything to the socket's transport at once: that one has the buffer.
        while isinstance(transport, ProtocolWrapper) and transport.transport is not None:
            transport = transport.transport
        self._transport = transport
        self._clock = clock
        self._abort = abort
        self._call: IDelayedCall | None = None
        self._registered = False

    def start(self) -> None:
        """Wait for the transport's own buffer first: it asks a pull producer for more when
        empty."""
        self._transport.registerProducer(self, False)
        self._registered = True
        start_writing = getattr(self._transport, "startWriting", None)
        if start_writing is not None:
            start_writing()
        else:
            self._call = self._clock.callLater(POLL, self.resumeProducing)

    def resumeProducing(self) -> None:
        """The transport's buffer is empty, unless it asks because of the registration."""
        if self._registered:
            self._transport.unregisterProducer()
            self._look()

    def stopProducing(self) -> None:
        """The transport is gone."""

    def stop(self) -> None:
        """The transport is gone, or nobody waits any more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = None
        # When the peer has reset the connection, the kernel goes on to count what it cannot send.
        if unsent(self._transport) and not broken(self._transport):
            self._call = self._clock.callLater(POLL, self._look)
        else:
            self._abort()
