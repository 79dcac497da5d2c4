"""Connecting a protocol of our own to the proxy, by any endpoint."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from konnect.client.errors import StreamSetupFailed
from konnect.net.tls import explain


class _OneProtocol(Factory):
    """Builds the one protocol that it was given."""

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._protocol


def reach(endpoint: IStreamClientEndpoint, protocol: Protocol) -> Deferred[None]:
    """
    Fires when `protocol` is connected; fails with StreamSetupFailed.

    Cancelled, it always fails with CancelledError: endpoints tell a cancellation in various ways
    (as ConnectingCancelledError, even as a failed DNS lookup), and some do not obey it.
    """
    cancelled = False

    def cancel(_: object) -> None:
        nonlocal cancelled
        cancelled = True
        connecting.cancel()

    reached: Deferred[None] = Deferred(cancel)

    def connected(_: object) -> None:
        if cancelled:
            transport: Any = protocol.transport
            transport.abortConnection()
        else:
            reached.callback(None)

    def failed(failure: Failure) -> None:
        if not cancelled:
            reached.errback(StreamSetupFailed(f"cannot reach the proxy: {_why(failure)}"))

    connecting = endpoint.connect(_OneProtocol(protocol))
    connecting.addCallbacks(connected, failed)
    return reached


def _why(failure: Failure) -> str:
    """In one line; of an error number that Twisted has no class for, what the system calls it."""
    value = failure.value
    if type(value) is ConnectError and isinstance(value.osError, int):
        return os.strerror(value.osError).lower()
    return explain(failure)
