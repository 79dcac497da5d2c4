"""TLS with certificates on both sides: the contexts of our listeners and of our own connections.

Made with pyOpenSSL directly and not with Twisted's CertificateOptions, because three rules need
it: the answer to ALPN offers (upstream's behaviour: sometimes none, sometimes the alert), errors
that say which certificate was refused and why, and no session state or idle buffers on listeners.
What is made here is what Twisted's ``wrapServerTLS`` and ``wrapClientTLS`` take; `context` is
there for a transport that does TLS on its own socket.

The handshake's time limit and the check that ALPN chose something belong to the protocol above.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity.exceptions import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from zope.interface import implementer

from konnect.net.ciphers import cipher_list
from konnect.net.diagnosis import TlsRefused, explain, names_of, refusal
from konnect.net.pem import Identity, TlsFileError, read_authorities, read_identity

__all__ = [
    "VERSIONS",
    "ClientTls",
    "ServerTls",
    "TlsFileError",
    "TlsRefused",
    "client_context",
    "explain",
    "peer_name",
    "server_context",
]

VERSIONS = {
    "1.0": SSL.TLS1_VERSION,
    "1.1": SSL.TLS1_1_VERSION,
    "1.2": SSL.TLS1_2_VERSION,
    "1.3": SSL.TLS1_3_VERSION,
}
"""What `minimum` may be. RFC 8996 forbids the first two; upstream can be told to speak them."""

# OpenSSL speaks the versions that RFC 8996 forbids only where weak signatures are allowed too.
_FORBIDDEN = ("1.0", "1.1")
_WEAK = b":@SECLEVEL=0"

# Send the chain that is in the file and nothing out of the CA bundle, as Go does. OpenSSL's
# SSL_MODE_NO_AUTO_CHAIN, part of its stable ABI; pyOpenSSL has no name for it.
_MODE_NO_AUTO_CHAIN = 0x8

# A server names the authorities it trusts when it asks for a certificate. Twisted's TLS transport
# passes on at most 32 KiB at a time while a handshake waits for the peer, so a longer list would
# stop it for good. No list is legal too.
_MAX_AUTHORITY_NAMES = 16 * 1024


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """Makes the connections of one listener."""

    def __init__(self, context: SSL.Context) -> None:
        self.context = context

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:
        """See IOpenSSLServerConnectionCreator."""
        return SSL.Connection(self.context, None)


@implementer(IOpenSSLClientConnectionCreator)
class ClientTls:
    """Makes connections to one server, by name or address."""

    def __init__(self, context: SSL.Context, server_name: bytes | None) -> None:
        self.context = context
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
    behaviour). Raises TlsFileError; ValueError if `minimum` is not in
    VERSIONS or a suite unknown.
    """
    context = _context(SSL.TLS_SERVER_METHOD, minimum, ciphers)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_id(b"konnect")
    _show(context, read_identity(cert, key))
    if ca is not None:
        authorities = read_authorities(ca)
        _trust(context, authorities, _Verifier("client", None))
        names = [authority.subject.public_bytes() for authority in authorities]
        if sum(len(name) for name in names) <= _MAX_AUTHORITY_NAMES:
            for authority in authorities:
                context.add_client_ca(authority)
    if alpn:
        context.set_alpn_select_callback(_alpn_answer([name.encode("ascii") for name in alpn]))
    return ServerTls(context)


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
    of `cert` and `key` is given, or for a `minimum` that is not in VERSIONS.
    """
    if (cert is None) != (key is None):
        raise ValueError("a client certificate and its key go together: give both or none")
    identity, server_name = _server_identity(hostname)
    context = _context(SSL.TLS_CLIENT_METHOD, minimum)
    _trust(context, read_authorities(ca), _Verifier("server", identity))
    if cert is not None and key is not None:
        _show(context, read_identity(cert, key))
    if alpn:
        context.set_alpn_protos([name.encode("ascii") for name in alpn])
    return ClientTls(context, server_name)


def peer_name(transport: object) -> str | None:
    """The peer certificate's common name or first alternative name; None if there is none."""
    get_certificate = getattr(transport, "getPeerCertificate", None)
    certificate = get_certificate() if get_certificate is not None else None
    if certificate is None:
        return None
    try:
        names = names_of(certificate.to_cryptography())
    except ValueError:
        return None
    return names[0] if names else None


def _context(method: int, minimum: str, ciphers: Sequence[str] = ()) -> SSL.Context:
    if minimum not in VERSIONS:
        raise ValueError(f"minimum TLS version {minimum!r} is not one of {', '.join(VERSIONS)}")
    suites = cipher_list(ciphers)
    if not suites:
        # Only those of TLS 1.3: nothing older can be agreed on.
        minimum, suites = "1.3", cipher_list()
    context = SSL.Context(method)
    context.set_min_proto_version(VERSIONS[minimum])
    context.set_cipher_list(suites + _WEAK if minimum in _FORBIDDEN else suites)
    context.set_mode(_MODE_NO_AUTO_CHAIN)
    context.set_options(
        SSL.OP_NO_COMPRESSION
        | SSL.OP_NO_RENEGOTIATION
        | SSL.OP_NO_TICKET
        | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return context


def _show(context: SSL.Context, identity: Identity) -> None:
    own, *others = identity.chain
    context.use_certificate(own)
    for certificate in others:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(identity.key)


def _trust(
    context: SSL.Context, authorities: Sequence[x509.Certificate], verifier: _Verifier
) -> None:
    store = context.get_cert_store()
    assert store is not None
    for certificate in authorities:
        store.add_cert(crypto.X509.from_cryptography(certificate))
    # As Go does: whatever is in the bundle is trusted, also an authority whose own issuer is not
    # there.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verifier.check)


def _server_identity(hostname: str) -> tuple[ServiceID, bytes | None]:
    """What the server's certificate must be valid for, and the SNI to send."""
    try:
        address = ipaddress.ip_address(hostname.partition("%")[0])
    except ValueError:
        name = hostname.removesuffix(".").encode("idna")
        return DNS_ID(name.decode("ascii")), name
    return IPAddress_ID(str(address)), None


class _Verifier:
    """A context's verify callback. What it raises, pyOpenSSL carries out of the handshake."""

    def __init__(self, role: str, identity: ServiceID | None) -> None:
        self._role = role
        self._identity = identity

    def check(
        self, connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int
    ) -> bool:
        if not ok:
            raise refusal(self._role, certificate, error, depth)
        if depth == 0 and self._identity is not None:
            try:
                verify_service_identity(extract_patterns(certificate), [self._identity], [])
            except (VerificationError, CertificateError, ValueError):
                raise refusal(self._role, certificate, None, 0, self._identity) from None
        return True


def _alpn_answer(ours: list[bytes]) -> Callable[[SSL.Connection, list[bytes]], Any]:
    """The server's answer to an ALPN offer; an exception becomes the fatal alert."""

    def answer(connection: SSL.Connection, offered: list[bytes]) -> Any:
        for name in ours:
            if name in offered:
                return name
        if b"h2" in ours and b"http/1.1" in offered:
            return SSL.NO_OVERLAPPING_PROTOCOLS
        names = ", ".join(repr(name)[1:] for name in offered[:8])
        raise TlsRefused(f"client offers none of our ALPN protocols, only {names}")

    return answer
