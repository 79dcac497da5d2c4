"""OpenSSL contexts by konnect's rules, made of files.

Why pyOpenSSL directly and not Twisted's CertificateOptions: the answer to ALPN offers (upstream's
behaviour: sometimes none, sometimes the alert), errors that say which certificate was refused and
why, and no session state or idle buffers on listeners.

A context is not changed once it is made: pyOpenSSL forbids to touch one that has connections.
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

from konnect.net.ciphers import TLS13, cipher_list
from konnect.net.diagnosis import UNREADABLE, TlsRefused, refusal
from konnect.net.pem import Identity, read_authorities, read_identity
from konnect.net.tls_files import Loaded, Marks, bundle_expiry, chain_expiry, digest_of

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

# Two of OpenSSL's SSL_MODE_, part of its stable ABI, for which pyOpenSSL has no names.
# Send the chain that is in the file and nothing out of the CA bundle, as Go does.
_NO_AUTO_CHAIN = 0x8
# End a call of SSL_write after each record: pyOpenSSL's own default, and 16 calls for each of our
# writes of 256 KiB (`konnect.net.hub.tls_records.RUN`).
_ENABLE_PARTIAL_WRITE = 0x1

# A server names the authorities it trusts when it asks for a certificate. Twisted's TLS transport
# passes on at most 32 KiB at a time while a handshake waits for the peer, so a longer list would
# stop it for good. No list is legal too.
_MAX_AUTHORITY_NAMES = 16 * 1024


def load_server(
    cert: str,
    key: str,
    ca: str | None,
    alpn: Sequence[str],
    minimum: str,
    ciphers: Sequence[str],
    marks: Marks,
) -> Loaded:
    """A listener's context; see `konnect.net.tls.server_context`."""
    context = _context(SSL.TLS_SERVER_METHOD, minimum, ciphers)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_id(b"konnect")
    own = read_identity(cert, key)
    _show(context, own)
    expiries = [chain_expiry(cert, own.chain)]
    authorities: tuple[x509.Certificate, ...] = ()
    if ca is not None:
        authorities = read_authorities(ca)
        expiries.append(bundle_expiry(ca, authorities))
        _trust(context, authorities, _Verifier("client", None))
        names = [authority.subject.public_bytes() for authority in authorities]
        if sum(len(name) for name in names) <= _MAX_AUTHORITY_NAMES:
            for authority in authorities:
                context.add_client_ca(authority)
    if alpn:
        context.set_alpn_select_callback(_alpn_answer([name.encode("ascii") for name in alpn]))
    return Loaded(context, tuple(expiries), digest_of(own.chain, authorities), marks)


def load_client(
    identity: ServiceID,
    ca: str,
    own: tuple[str, str] | None,
    alpn: Sequence[str],
    minimum: str,
    marks: Marks,
) -> Loaded:
    """A client's context; `own` are the paths of its certificate and key. See
    `konnect.net.tls.client_context`."""
    context = _context(SSL.TLS_CLIENT_METHOD, minimum)
    authorities = read_authorities(ca)
    expiries = [bundle_expiry(ca, authorities)]
    _trust(context, authorities, _Verifier("server", identity))
    chain: tuple[x509.Certificate, ...] = ()
    if own is not None:
        shown = read_identity(*own)
        _show(context, shown)
        chain = shown.chain
        expiries.append(chain_expiry(own[0], chain))
    if alpn:
        context.set_alpn_protos([name.encode("ascii") for name in alpn])
    return Loaded(context, tuple(expiries), digest_of(chain, authorities), marks)


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
    context.set_tls13_ciphersuites(TLS13)
    context.set_mode(_NO_AUTO_CHAIN)
    context.clear_mode(_ENABLE_PARTIAL_WRITE)
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


def server_identity(hostname: str) -> tuple[ServiceID, bytes | None]:
    """
    What the server's certificate must be valid for, and the SNI to send.

    Raises ValueError for what is neither a host name nor an IP address.
    """
    try:
        address = ipaddress.ip_address(hostname.partition("%")[0])
    except ValueError:
        try:
            name = hostname.removesuffix(".").encode("idna")
            return DNS_ID(name.decode("ascii")), name
        except ValueError:
            raise ValueError(
                f"{hostname!r} is neither a host name nor an IP address; no scheme or port goes"
                " with it"
            ) from None
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
            except (VerificationError, CertificateError, *UNREADABLE):
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
