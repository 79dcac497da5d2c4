"""The endpoint type ``mtls:``, for servers and clients: TLS with certificates on both sides.

Twisted's own ``ssl:`` and ``tls:`` servers can neither demand a client certificate nor offer ALPN.
In endpoint strings::

    mtls:8090:cert=FILE:key=FILE:ca=FILE:alpn=h2:interface=10.0.0.1
    mtls:HOST:PORT:ca=FILE:cert=FILE:key=FILE:alpn=h2:servername=NAME

The parsers' instances that Twisted discovers are in twisted/plugins/konnect_endpoints.py. Nothing
here checks which ALPN protocol was chosen, or limits the time of a handshake.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    wrapClientTLS,
    wrapServerTLS,
)
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from zope.interface import implementer

from konnect.net.given import server_endpoint
from konnect.net.http_proxy import ThroughHttpProxy, read_http_proxy
from konnect.net.hub.endpoints import TlsClientEndpoint
from konnect.net.hub.reactor import HubReactor
from konnect.net.named import NamedEndpoint
from konnect.net.tls import ServerTls, client_context, server_context

DEFAULT_BACKLOG = 1024
"""Connections that may wait for accept. Twisted's 50 loses some of a burst of tunnels."""

DEFAULT_CONNECT_TIMEOUT = 20.0
"""Seconds for a TCP connection to a proxy, as in upstream's transport."""


def tcp_server_endpoint(
    reactor: Any, port: int, interface: str = "", backlog: int = DEFAULT_BACKLOG
) -> IStreamServerEndpoint:
    """A TCP listener on one address, or on all of IPv4's (as ``tcp:``) if `interface` is empty."""
    kind = TCP6ServerEndpoint if ":" in interface else TCP4ServerEndpoint
    endpoint: IStreamServerEndpoint = kind(reactor, port, backlog, interface)
    return endpoint


@implementer(IStreamServerEndpoint)
class TlsServer:
    """A listener with TLS, and the `tls` that its connections are made with."""

    def __init__(self, tls: ServerTls, endpoint: IStreamServerEndpoint) -> None:
        self.tls = tls
        self._endpoint = endpoint

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See IStreamServerEndpoint."""
        return self._endpoint.listen(factory)


ITS_OWN = ("tcp", "tcp6", "unix", "systemd")
"""Types of server endpoints that are nothing but a port of their reactor's."""


def _with_tls(
    reactor: Any, tls: ServerTls, kind: str, plain: Callable[[Any], IStreamServerEndpoint]
) -> TlsServer:
    """TLS on the endpoint of type `kind` that `plain` makes on a reactor: the hub's own where the
    endpoint is only a port, else Twisted's on top of it."""
    if isinstance(reactor, HubReactor) and kind in ITS_OWN:
        return TlsServer(tls, plain(reactor.with_tls(tls)))
    return TlsServer(tls, wrapServerTLS(tls, plain(reactor), clock=reactor))


@implementer(IPlugin, IStreamServerEndpointStringParser)
class MtlsServerParser:
    """``mtls:PORT:cert=FILE:key=FILE`` with optionally ``ca=FILE`` (then a client certificate is
    demanded), ``interface=``, ``alpn=`` (comma-separated, best first), ``minimum=`` (the oldest TLS
    version, 1.2 if not given), ``ciphers=`` (comma-separated, in Go's names) and ``backlog=``.

    Instead of PORT, ``on=ENDPOINT`` (colons escaped) is any other server endpoint string to speak
    TLS on, such as ``on=systemd\\:domain=INET6\\:name=agents``.

    Raises TlsFileError for files that cannot be used and ValueError for the rest.
    """

    prefix = "mtls"

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamServerEndpoint:
        """See IStreamServerEndpointStringParser; the signature is what zope.interface checks."""
        _check_arguments(self._parse, "server", args, kwargs)
        return self._parse(reactor, *args, **kwargs)

    @staticmethod
    def _parse(
        reactor: Any,
        port: str = "",
        cert: str = "",
        key: str = "",
        ca: str = "",
        interface: str = "",
        alpn: str = "",
        minimum: str = "1.2",
        ciphers: str = "",
        backlog: str = str(DEFAULT_BACKLOG),
        on: str = "",
    ) -> IStreamServerEndpoint:
        if not cert or not key:
            raise ValueError("an mtls: server needs cert=FILE and key=FILE")
        tls = server_context(
            cert, key, ca or None, _list(alpn), minimum=minimum, ciphers=_list(ciphers)
        )
        if on:
            if port or interface:
                raise ValueError("an mtls: server has either a port or on=ENDPOINT, not both")
            kind = on.partition(":")[0]
            return _with_tls(reactor, tls, kind, lambda chosen: server_endpoint(chosen, on))
        number, waiting = _whole("port", port, 0, 65535), _whole("backlog", backlog, 1, 65535)
        return _with_tls(
            reactor,
            tls,
            "tcp",
            lambda chosen: tcp_server_endpoint(chosen, number, interface, waiting),
        )


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class MtlsClientParser:
    """``mtls:HOST:PORT:ca=FILE`` with optionally ``cert=FILE`` and ``key=FILE``, ``alpn=``
    (comma-separated, best first), ``servername=`` (what the certificate must be valid for, if not
    HOST), ``minimum=`` (1.2 if not given), ``timeout=`` (seconds for the TCP connection),
    ``bindAddress=``, and ``via=``, an HTTP proxy to go through (``http://user:password@host:port``
    or less, with escaped colons).

    Raises TlsFileError for files that cannot be used and ValueError for the rest.
    """

    prefix = "mtls"

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamClientEndpoint:
        """See IStreamClientEndpointStringParserWithReactor; the signature is what zope.interface
        checks.
        """
        _check_arguments(self._parse, "client", args, kwargs)
        return self._parse(reactor, *args, **kwargs)

    @staticmethod
    def _parse(
        reactor: Any,
        host: str,
        port: str,
        ca: str = "",
        cert: str = "",
        key: str = "",
        alpn: str = "",
        servername: str = "",
        minimum: str = "1.2",
        timeout: str = str(DEFAULT_CONNECT_TIMEOUT),
        bindAddress: str = "",
        via: str = "",
    ) -> IStreamClientEndpoint:
        if not host:
            raise ValueError("an mtls: client needs a host")
        if not ca:
            raise ValueError(
                "an mtls: client needs ca=FILE, the authority of the server's certificate"
            )
        tls = client_context(
            servername or host, ca, cert or None, key or None, _list(alpn), minimum=minimum
        )

        number, patience = _whole("port", port, 1, 65535), parse_seconds("timeout", timeout)
        proxy = read_http_proxy(via) if via else None
        target = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"

        def reach(plain: IStreamClientEndpoint) -> IStreamClientEndpoint:
            if proxy is not None:
                plain = ThroughHttpProxy(plain, proxy, target, reactor, patience)
            if isinstance(reactor, HubReactor):
                return TlsClientEndpoint(reactor, tls, plain)
            endpoint: IStreamClientEndpoint = wrapClientTLS(tls, plain, clock=reactor)
            return endpoint

        return NamedEndpoint(
            reactor,
            proxy.host if proxy else host,
            proxy.port if proxy else number,
            reach,
            timeout=patience,
            bind_address=(bindAddress, 0) if bindAddress else None,
            tls=tls,
            through=proxy.name if proxy else "",
        )


def _check_arguments(parse: Callable[..., Any], side: str, args: Any, kwargs: Any) -> None:
    """Raise ValueError about the endpoint string if its settings are not what `parse` takes."""
    try:
        inspect.signature(parse).bind(None, *args, **kwargs)
    except TypeError as error:
        raise ValueError(f"bad mtls: {side} endpoint: {error}") from None


def _list(text: str) -> list[str]:
    return [item for item in text.split(",") if item]


def _whole(what: str, text: str, lowest: int, highest: int) -> int:
    """A whole number. Raises ValueError with a text for people."""
    if text.isascii() and text.isdigit() and lowest <= int(text) <= highest:
        return int(text)
    raise ValueError(f"{what} {text!r} is not a number from {lowest} to {highest}")


def parse_seconds(what: str, text: str) -> float:
    """A number of seconds above 0; raises ValueError, which names `what` it is."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if 0 < seconds < math.inf:
        return seconds
    raise ValueError(f"{what} {text!r} is not a number of seconds")
