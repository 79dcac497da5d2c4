r"""The endpoint string `konnect:HOST:PORT:via=KIND=ENDPOINT`, for any Twisted program.

`KIND` is what the proxy's frontend speaks, `grpc` or `connect`; `ENDPOINT` is a client endpoint
string that reaches it, with its colons escaped. For example:

    konnect:10.0.0.7:80:via=grpc=unix\:/run/konnect.sock
    konnect:web.example:443:via=connect=mtls\:localhost\:8090\:ca=ca.crt\:cert=c.crt\:key=c.key

Further: `shared=yes` carries all connections of one endpoint on one connection to the proxy (gRPC
only), `timeout=30` bounds a dial in seconds. To `mtls:`, the ALPN protocol that goes with KIND is
added. The instance that Twisted discovers is in twisted/plugins.
"""

from __future__ import annotations

import inspect
from typing import Any

from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
)
from twisted.plugin import IPlugin
from zope.interface import implementer

from konnect.client.connect_dial import ConnectDialer
from konnect.client.connections import OwnConnections
from konnect.client.dialing import DIAL_TIMEOUT, Dialer
from konnect.client.endpoint import KonnectEndpoint
from konnect.client.grpc_dial import GrpcDialer
from konnect.client.shared import SharedConnection
from konnect.net.endpoints import parse_seconds

_YES = {"yes": True, "true": True, "no": False, "false": False}


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class KonnectClientParser:
    """See the module. Raises ValueError for anything that it cannot read."""

    prefix = "konnect"

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamClientEndpoint:
        """See IStreamClientEndpointStringParserWithReactor, which dictates the signature."""
        try:
            bound = inspect.signature(_parse).bind(reactor, *args, **kwargs)
        except TypeError as error:
            text = f"bad konnect: endpoint: {error}"
            if len(args) > 2:
                text += f": {args[2]!r}; a colon within a value is written \\:"
            raise ValueError(text) from None
        return _parse(*bound.args, **bound.kwargs)


def _parse(
    reactor: Any,
    host: str,
    port: str,
    *,
    via: str,
    shared: str = "no",
    timeout: str = str(DIAL_TIMEOUT),
) -> IStreamClientEndpoint:
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"bad konnect: endpoint: port {port!r} is not a number from 1 to 65535")
    if shared not in _YES:
        raise ValueError(f"bad konnect: endpoint: shared={shared!r} is neither yes nor no")
    seconds = parse_seconds("bad konnect: endpoint: timeout", timeout)
    dialer = parse_via(reactor, via, shared=_YES[shared], timeout=seconds)
    return KonnectEndpoint(dialer, host.strip("[]"), int(port))


def parse_via(
    reactor: Any, via: str, *, shared: bool = False, timeout: float = DIAL_TIMEOUT
) -> Dialer:
    """
    The dialer for `KIND=ENDPOINT`.

    Raises ValueError, and whatever the endpoint's own parser raises.
    """
    kind, equals, description = via.partition("=")
    if kind not in ("grpc", "connect") or not equals or not description:
        raise ValueError(
            f"bad konnect: endpoint: via={via!r} is neither grpc=ENDPOINT nor connect=ENDPOINT"
        )
    if kind == "connect" and shared:
        raise ValueError("bad konnect: endpoint: shared=yes needs via=grpc=...")
    if description.startswith("mtls:") and ":alpn=" not in description:
        description += ":alpn=h2" if kind == "grpc" else ":alpn=http/1.1"
    endpoint = clientFromString(reactor, description)
    if kind == "connect":
        return ConnectDialer(endpoint, reactor, timeout=timeout)
    connections = (SharedConnection if shared else OwnConnections)(endpoint, reactor)
    return GrpcDialer(connections, reactor, timeout=timeout)
