"""For tests of dials: a reactor in memory, a clock, and a resolver that answers when told."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IResolutionReceiver,
)
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from konnect.agent.dialer import Dialer
from konnect.agent.dialing import Cancellable, DialError, Make


@implementer(IHostResolution)
class Resolution:
    """A lookup that may or may not be stopped."""

    def __init__(self, name: str, stoppable: bool) -> None:
        self.name = name
        self.stoppable = stoppable
        self.stopped = False
        self.problem: Exception | None = None

    def cancel(self) -> None:
        """Stop it, or say as the stock resolver does that this cannot be done."""
        if not self.stoppable:
            raise NotImplementedError
        self.stopped = True


@implementer(IHostnameResolver)
class Resolver:
    """Remembers who asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, IResolutionReceiver, Resolution]] = []
        self.stoppable = True
        self.broken: Exception | None = None

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Begin a lookup that `answer` ends."""
        if self.broken is not None:
            raise self.broken
        resolution = Resolution(hostName, self.stoppable)
        self.asked.append((hostName, resolutionReceiver, resolution))
        resolutionReceiver.resolutionBegan(resolution)
        return resolution

    def answer(self, *hosts: str | IAddress) -> None:
        """End the last lookup with these IP addresses."""
        _, receiver, _ = self.asked[-1]
        for host in hosts:
            if isinstance(host, str):
                host = (IPv6Address if ":" in host else IPv4Address)("TCP", host, 80)
            receiver.addressResolved(host)
        receiver.resolutionComplete()


def dialled(dialer: Dialer, network: str, address: str, make: Make) -> Deferred[IProtocol]:
    """A dial's outcome as a Deferred, whose cancelling cancels the dial."""
    asker = Asking()
    asker.under_way = dialer.dial(network, address, make, asker)
    return asker.outcome


class Asking:
    """Who asked."""

    def __init__(self) -> None:
        self.under_way: Cancellable | None = None
        self.outcome: Deferred[IProtocol] = Deferred(self._cancel)

    def _cancel(self, _: object) -> None:
        assert self.under_way is not None
        self.under_way.cancel()

    def reached(self, protocol: IProtocol) -> None:
        """See `Asker`."""
        self.outcome.callback(protocol)

    def unreached(self, error: Exception) -> None:
        """See `Asker`."""
        self.outcome.errback(error)


class DialTestCase(SynchronousTestCase):
    """One dial at a time, step by step."""

    def setUp(self) -> None:
        """A dialer with nothing real below it, and the check that it leaves nothing behind."""
        self.reactor = MemoryReactorClock()
        self.resolver = Resolver()
        self.reactor.installNameResolver(self.resolver)
        self.dialer = Dialer(self.reactor)
        self.addCleanup(lambda: self.assertEqual(self.reactor.getDelayedCalls(), []))

    def dial(self, address: str, network: str = "tcp") -> Deferred[IProtocol]:
        """Dial with plain protocols."""
        return dialled(self.dialer, network, address, Protocol)

    @property
    def tried(self) -> list[str]:
        """The IP addresses tried so far."""
        return [client[0] for client in self.reactor.tcpClients]

    def refuse(self, number: int, failure: Exception | None = None) -> None:
        """The attempt with this number fails."""
        factory, connector = self.reactor.tcpClients[number][2], self.reactor.connectors[number]
        failure = failure or error.ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        factory.clientConnectionFailed(connector, Failure(failure))

    def accept(self, number: int) -> StringTransport:
        """The attempt with this number succeeds."""
        transport = StringTransport()
        protocol: Any = self.reactor.tcpClients[number][2].buildProtocol(None)
        protocol.makeConnection(transport)
        return transport

    def stopped(self) -> list[bool]:
        """Whether each attempt has been stopped."""
        return [connector.stoppedConnecting for connector in self.reactor.connectors]

    def error(self, dial: Deferred[IProtocol]) -> tuple[str, bool]:
        """Text and kind of the failure."""
        failed = self.failureResultOf(dial, DialError).value
        assert isinstance(failed, DialError)
        self.assertEqual(str(failed), failed.text)
        return failed.text, failed.timed_out

    def resolved(self, *ips: str) -> Deferred[IProtocol]:
        """A dial of a name with these addresses."""
        dial = self.dial("a.b:80")
        self.resolver.answer(*ips)
        return dial
