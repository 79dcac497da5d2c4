"""A name whose addresses are the test's to choose."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
)
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.functional.waiting import the_reactor


@implementer(IHostnameResolver)
class Names:
    """Knows one name, and leaves the others to whom it replaces."""

    def __init__(self, name: str, addresses: list[str], others: IHostnameResolver) -> None:
        self.name = name
        self.addresses = addresses
        self._others = others

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        if hostName != self.name:
            return self._others.resolveHostName(
                resolutionReceiver, hostName, portNumber, addressTypes, transportSemantics
            )
        resolution: Any = None
        resolutionReceiver.resolutionBegan(resolution)
        for address in self.addresses:
            kind = IPv6Address if ":" in address else IPv4Address
            resolutionReceiver.addressResolved(kind("TCP", address, portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution  # type: ignore[no-any-return]


def name_localhost(case: TestCase, *addresses: str) -> Names:
    """Let `localhost`, which is in the proxies' certificates, have these addresses, until the test
    is over."""
    reactor = the_reactor()
    names = Names("localhost", list(addresses), reactor.nameResolver)
    before = reactor.installNameResolver(names)
    case.addCleanup(reactor.installNameResolver, before)
    return names
