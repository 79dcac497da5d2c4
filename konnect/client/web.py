"""HTTP requests through a proxy, with Twisted's own `Agent` and so with treq."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI, BrowserLikePolicyForHTTPS
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from konnect.client.dialing import Dialer
from konnect.client.endpoint import KonnectEndpoint


@implementer(IAgentEndpointFactory)
class WebEndpoints:
    """
    For `twisted.web.client.Agent.usingEndpointFactory`, and so for treq: every request goes through
    `dialer`. `https` is encrypted to the destination; the proxy and the agent do not see into it.
    """

    def __init__(self, dialer: Dialer, policy: IPolicyForHTTPS | None = None) -> None:
        self._dialer = dialer
        self._policy: Any = policy or BrowserLikePolicyForHTTPS()

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """See IAgentEndpointFactory.endpointForURI. Raises ValueError for other schemes."""
        endpoint = KonnectEndpoint(self._dialer, uri.host.decode("ascii").strip("[]"), uri.port)
        if uri.scheme == b"http":
            return endpoint
        if uri.scheme == b"https":
            return wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), endpoint)
        raise ValueError(f"a request by {uri.scheme!r} cannot go through a proxy")
