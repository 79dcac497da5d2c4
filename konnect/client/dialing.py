"""What both ways of dialing share: the time limit, the cancellation, the factory's part."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any
from typing import Protocol as Shape

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IReactorTime
from twisted.python.failure import Failure

from konnect.client.destination import Destination
from konnect.client.errors import DialCancelled, DialTimeout, StreamSetupFailed
from konnect.client.ledger import ledger

DIAL_TIMEOUT = 30.0
"""Seconds for a whole dial (upstream's client waits as long for an answer)."""


class Dialer(Shape):
    """A way through one proxy."""

    def dial(self, destination: Destination, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """A protocol of `factory`, connected to `destination`; fails with DialFailed."""

    def close(self) -> Deferred[None]:
        """End all dials and tunnels; fires when nothing of them is left."""


def dial_within(
    seconds: float,
    clock: IReactorTime,
    story: Coroutine[Deferred[Any], Any, IProtocol],
    factory: IProtocolFactory,
) -> Deferred[IProtocol]:
    """
    Run a dial's story. After `seconds` it is cancelled and fails with DialTimeout, or with
    StreamSetupFailed if the proxy has not been reached by then.

    The factory is told of its start here, and of its stop if the dial fails.
    """
    factory.doStart()

    def expired(result: IProtocol | Failure, seconds: float) -> IProtocol | Failure:
        if not isinstance(result, Failure) or not result.check(CancelledError):
            return result
        if getattr(result.value, "asked", False):
            return Failure(DialTimeout())
        return Failure(StreamSetupFailed(f"the proxy was not reached within {seconds:g} seconds"))

    def failed(failure: Failure) -> Failure:
        factory.doStop()
        if failure.check(CancelledError) and not failure.check(DialCancelled):
            failure = Failure(DialCancelled())
        ledger.dial_failed(failure.value)
        return failure

    dial = Deferred.fromCoroutine(story)
    dial.addTimeout(seconds, clock, expired)
    dial.addErrback(failed)
    return dial


def build(factory: IProtocolFactory, address: IAddress) -> IProtocol:
    """The factory's protocol. Raises NoProtocol when it gives none, as Twisted's endpoints do."""
    protocol = factory.buildProtocol(address)
    if protocol is None:
        raise NoProtocol()
    return protocol
