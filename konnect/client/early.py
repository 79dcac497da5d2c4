"""The transport of a protocol for which bytes wait that the proxy sent right behind its answer."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall, IProtocol, IReactorTime
from zope.interface import directlyProvides, providedBy


class EarlyTransport:
    """
    Passes everything on to `transport`, and gives `early` to `protocol` unless that has paused.

    A transport does not say whether it is paused, and has no hold on what it has already read.
    """

    def __init__(
        self, transport: Any, protocol: IProtocol, early: bytes, clock: IReactorTime
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._early = early
        self._clock = clock
        self._paused = False
        self._aborted = False
        self._call: IDelayedCall | None = None
        directlyProvides(self, providedBy(transport))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def pauseProducing(self) -> None:
        """See IPushProducer.pauseProducing."""
        self._paused = True
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        """See IPushProducer.resumeProducing."""
        self._paused = False
        self._transport.resumeProducing()
        self.give_later()

    # A transport reads no more once its protocol has ended it.

    def loseConnection(self) -> None:
        """See ITransport.loseConnection."""
        self.drop()
        self._transport.loseConnection()

    def abortConnection(self) -> None:
        """See ITCPTransport.abortConnection."""
        self._aborted = True
        self.drop()
        self._transport.abortConnection()

    def stopProducing(self) -> None:
        """See IProducer.stopProducing."""
        self.drop()
        self._transport.stopProducing()

    def give_later(self) -> None:
        """Give the bytes in the next turn: whoever dialed is to have the protocol before them."""
        if self._early and self._call is None:
            self._call = self._clock.callLater(0, self._give_unless_paused)

    def keep(self, data: bytes) -> bool:
        """Take `data`, which comes behind the bytes, if they have to wait; else give them. What
        comes behind bytes upon which the protocol aborts is taken as well: nobody gets it."""
        if not self._early:
            return False
        if not self._paused:
            self.give()
            if self._aborted:
                return True
        if self._paused:
            self._early += data
        return self._paused

    def give(self) -> None:
        """Give the bytes now: something comes that is behind them."""
        early = self.drop()
        if early:
            self._protocol.dataReceived(early)

    def drop(self) -> bytes:
        """Give nothing any more; returns what waited."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        early, self._early = self._early, b""
        return early

    def _give_unless_paused(self) -> None:
        self._call = None
        if not self._paused:
            self.give()
