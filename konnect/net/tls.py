"""TLS with certificates on both sides: what our listeners and our own connections are made with.

Made with pyOpenSSL directly and not with Twisted's CertificateOptions: konnect.net.contexts has the
rules that need it. What is made here is what Twisted's ``wrapServerTLS`` and ``wrapClientTLS``
take; `context` is there for a transport that does TLS on its own socket. Both look at it for each
new connection, so replacing it is all that new certificates need.

The handshake's time limit and the check that ALPN chose something belong to the protocol above.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from zope.interface import implementer

from konnect.net.contexts import load_client, load_server, server_identity
from konnect.net.diagnosis import UNREADABLE, TlsRefused, explain, names_of
from konnect.net.pem import TlsFileError
from konnect.net.tls_files import Loaded, Source

__all__ = [
    "ClientTls",
    "ServerTls",
    "Tls",
    "TlsFileError",
    "TlsRefused",
    "client_context",
    "explain",
    "peer_name",
    "server_context",
]


class Tls:
    """
    What the connections of one listener, or to one server, are made with.

    :param source: where the context comes from; loaded at once, which may raise.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.take(source.load())

    def take(self, loaded: Loaded) -> None:
        """Make new connections with this; those that live keep what they were made with."""
        self.loaded = loaded
        self.context = loaded.context


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls(Tls):
    """Makes the connections of one listener."""

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:
        """See IOpenSSLServerConnectionCreator."""
        return SSL.Connection(self.context, None)


@implementer(IOpenSSLClientConnectionCreator)
class ClientTls(Tls):
    """Makes connections to one server, by name or address."""

    def __init__(self, source: Source, server_name: bytes | None) -> None:
        super().__init__(source)
        self.server_name = server_name
        """What is sent as SNI: a host name, nothing for an IP address."""

    def clientConnectionForTLS(self, protocol: object) -> SSL.Connection:
        """See IOpenSSLClientConnectionCreator."""
        connection = SSL.Connection(self.context, None)
        if self.server_name is not None:
            connection.set_tlsext_host_name(self.server_name)
        return connection


def server_context(
    cert: str,
    key: str,
    ca: str | None,
    alpn: Sequence[str] = (),
    *,
    minimum: str = "1.2",
    ciphers: Sequence[str] = (),
) -> ServerTls:
    """TLS for a listener. The first three are paths; with `ca`, a client certificate is demanded
    and verified. `ciphers` are suites in Go's names (`konnect.net.ciphers`), none: all of those.

    `alpn` is what the listener speaks, best first. A client that offers nothing of it gets the
    alert no_application_protocol, unless it offers no ALPN at all, or http/1.1 to an h2 listener:
    then the handshake succeeds without ALPN and the protocol above has to see it (upstream's
    behaviour). Raises TlsFileError; ValueError if `minimum` is no version of
    `konnect.net.contexts` or a suite is unknown.
    """
    source = Source(
        (cert, key) if ca is None else (cert, key, ca),
        partial(load_server, cert, key, ca, tuple(alpn), minimum, tuple(ciphers)),
    )
    return ServerTls(source)


def client_context(
    hostname: str,
    ca: str,
    cert: str | None = None,
    key: str | None = None,
    alpn: Sequence[str] = (),
    *,
    minimum: str = "1.2",
) -> ClientTls:
    """TLS to the server `hostname`, a name or an IP address, whose certificate has to be valid for
    it.

    `ca` is the path of a bundle and the only trust there is; `cert` and `key` (both or none) are
    what we show. `alpn` is what we offer, best first. Raises TlsFileError; ValueError if only one
    of `cert` and `key` is given, or for a `minimum` that is no version of `konnect.net.contexts`.
    """
    if (cert is None) != (key is None):
        raise ValueError("a client certificate and its key go together: give both or none")
    own = None if cert is None or key is None else (cert, key)
    identity, server_name = server_identity(hostname)
    source = Source(
        (ca, *(own or ())), partial(load_client, identity, ca, own, tuple(alpn), minimum)
    )
    return ClientTls(source, server_name)


def peer_name(transport: object) -> str | None:
    """The peer certificate's common name or first alternative name; None if there is none."""
    get_certificate = getattr(transport, "getPeerCertificate", None)
    certificate = get_certificate() if get_certificate is not None else None
    if certificate is None:
        return None
    try:
        names = names_of(certificate.to_cryptography())
    except UNREADABLE:
        return None
    return names[0] if names else None


def expect_short_records(transport: Any) -> None:
    """The peer does not gather its messages (`konnect.net.hub.tls_records`); nothing for transports
    that read whatever there is anyway."""
    expect = getattr(transport, "expect_short_records", None)
    if expect is not None:
        expect()


def expect_many_tunnels(transport: Any) -> None:
    """This is an agent's link with the other half of konnect, from which larger reads pay
    (`konnect.net.hub.reads`); nothing for other transports."""
    expect = getattr(transport, "expect_many_tunnels", None)
    if expect is not None:
        expect()
