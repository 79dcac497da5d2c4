"""Tests of konnect.client.reaching."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionRefusedError, DNSLookupError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from konnect.client.errors import StreamSetupFailed
from konnect.client.reaching import reach
from tests.client.scripted import Recorder


@implementer(IStreamClientEndpoint)
class ByHand:
    """Connects when the test says so; its Deferred is cancelled as the test wants."""

    def __init__(self, canceller: Any = None) -> None:
        self.connecting: Deferred[IProtocol] = Deferred(canceller)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self.factory = protocolFactory
        return self.connecting

    def complete(self) -> StringTransport:
        """Connect."""
        protocol: Any = self.factory.buildProtocol(None)  # type: ignore[arg-type]
        transport = StringTransport()
        protocol.makeConnection(transport)
        self.connecting.callback(protocol)
        return transport


class ReachTests(SynchronousTestCase):
    """One attempt."""

    def test_connects(self) -> None:
        """It fires when the protocol is connected."""
        endpoint, recorder = ByHand(), Recorder()
        reached = reach(endpoint, recorder)
        self.assertNoResult(reached)
        endpoint.complete()
        self.successResultOf(reached)
        self.assertEqual(recorder.made, 1)

    def test_fails(self) -> None:
        """A failure is told as one line."""
        endpoint = ByHand()
        reached = reach(endpoint, Recorder())
        endpoint.connecting.errback(ConnectionRefusedError())
        problem = self.failureResultOf(reached, StreamSetupFailed).value
        self.assertEqual(str(problem), "cannot reach the proxy: connection refused")

    def test_fails_with_a_number(self) -> None:
        """A system error that Twisted has no class for is told in the system's words."""
        endpoint = ByHand()
        reached = reach(endpoint, Recorder())
        endpoint.connecting.errback(ConnectError(errno.ENOENT, "No such file or directory"))
        problem = self.failureResultOf(reached, StreamSetupFailed).value
        self.assertEqual(str(problem), "cannot reach the proxy: no such file or directory")

    def test_cancelled_and_told_otherwise(self) -> None:
        """An endpoint that tells a cancellation as something else does not mislead."""
        endpoint = ByHand(lambda connecting: connecting.errback(DNSLookupError("no such name")))
        reached = reach(endpoint, Recorder())
        reached.cancel()
        self.failureResultOf(reached, CancelledError)

    def test_cancelled_in_vain(self) -> None:
        """What an endpoint connects in spite of the cancellation is dropped at once."""
        endpoint = ByHand(lambda connecting: None)
        endpoint.connecting.cancel = lambda: None  # type: ignore[method-assign]
        reached = reach(endpoint, Recorder())
        reached.cancel()
        self.failureResultOf(reached, CancelledError)
        self.assertTrue(endpoint.complete().disconnected)
