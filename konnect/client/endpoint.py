"""A destination behind a proxy, as an endpoint: any Twisted protocol runs through it."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from konnect.client.destination import Destination
from konnect.client.dialing import Dialer


@implementer(IStreamClientEndpoint)
class KonnectEndpoint:
    """
    Connects to `host` and `port` through `dialer`. The name is resolved where the agent is.

    Raises ValueError for a host or port that cannot be dialed.
    """

    def __init__(self, dialer: Dialer, host: str, port: int) -> None:
        self.dialer = dialer
        """What carries the connections; `dialer.close()` ends them all."""
        self.destination = Destination(host, port)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See IStreamClientEndpoint.connect. Fails with `konnect.client.errors.DialFailed`, and may be
        cancelled at any moment.
        """
        return self.dialer.dial(self.destination, protocolFactory)

    def __repr__(self) -> str:
        return f"<konnect endpoint {self.destination.text}>"
