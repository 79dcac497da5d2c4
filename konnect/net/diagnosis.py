"""One clear line for a TLS connection that failed: which side, which certificate, what about it.

It turns exceptions of OpenSSL and Twisted into text. It logs nothing and decides nothing.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from service_identity.hazmat import DNS_ID, ServiceID
from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure

_LONGEST_NAME = 100

UNREADABLE = (
    ValueError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What is raised for a certificate whose content does not parse, though OpenSSL has read it; such a
one can come from anybody."""


class TlsRefused(SSL.Error):
    """We refused the peer during the handshake; the text says why.

    It is an OpenSSL error, shaped like one, so that TLS transports take it for what it is: a
    failed handshake.
    """

    def __init__(self, text: str) -> None:
        super().__init__([("konnect", "", text)])
        self.text = text

    def __str__(self) -> str:
        return self.text


_CODES = SSL.X509VerificationCodes
_UNKNOWN = "comes from an unknown certificate authority"
_VERDICTS = {
    _CODES.ERR_CERT_HAS_EXPIRED: "has expired",
    _CODES.ERR_CERT_NOT_YET_VALID: "is not valid yet",
    _CODES.ERR_UNABLE_TO_GET_ISSUER_CERT: _UNKNOWN,
    _CODES.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: _UNKNOWN,
    _CODES.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: _UNKNOWN,
    _CODES.ERR_SELF_SIGNED_CERT_IN_CHAIN: _UNKNOWN,
    _CODES.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: "is self-signed and not in our CA bundle",
    _CODES.ERR_INVALID_PURPOSE: "is not meant for this use",
    _CODES.ERR_CERT_SIGNATURE_FAILURE: "has a signature that is not its authority's",
    _CODES.ERR_CERT_REVOKED: "is revoked",
    _CODES.ERR_CERT_CHAIN_TOO_LONG: "has too long a chain of authorities",
}

_REFUSED_OURS = "the peer refused our certificate: "

# OpenSSL's reasons, lower case, by what they contain; the first that fits wins. Those with "alert"
# came from the peer.
_REASONS = (
    ("did not return a certificate", "no client certificate was sent"),
    ("alert certificate required", "the peer demands a client certificate and we sent none"),
    ("alert certificate expired", _REFUSED_OURS + "it has expired"),
    ("alert unknown ca", _REFUSED_OURS + "it does not know the authority that issued it"),
    # All that Go says of a certificate that it cannot verify, and in TLS 1.2 of none.
    ("alert bad certificate", _REFUSED_OURS + "it cannot be verified there, or there is none"),
    ("alert certificate unknown", _REFUSED_OURS + "it does not say why"),
    ("alert unsupported certificate", _REFUSED_OURS + "it is not meant for this use"),
    ("alert certificate revoked", _REFUSED_OURS + "it is revoked"),
    ("alert no application protocol", "the peer speaks none of our ALPN protocols"),
    ("alert protocol version", "the peer allows none of our TLS versions"),
    (
        "alert handshake failure",
        "the peer refused the handshake: no common cipher, or no certificate",
    ),
    ("alert unrecognized name", "the peer does not know the host name that we asked for"),
    # OpenSSL's alert when a verify callback refuses: what a konnect peer sends if our name is not
    # the one it wanted.
    (
        "alert internal error",
        _REFUSED_OURS + "perhaps it is not valid for the name it connected to",
    ),
    ("alert bad record mac", "a TLS record of ours was damaged on its way to the peer"),
    ("alert", ""),
    ("no application protocol", "client offers none of our ALPN protocols"),
    ("unsupported protocol", "the peer speaks no TLS version that we allow"),
    ("version too low", "the peer speaks no TLS version that we allow"),
    ("no shared cipher", "the peer offers no cipher that we allow"),
    # Before what OpenSSL says of every record that it cannot take.
    ("decryption failed", "a TLS record of the peer's was damaged on its way"),
    ("http request", "the peer spoke no TLS but plain HTTP"),
    ("https proxy request", "the peer spoke no TLS but plain HTTP"),
    ("wrong version number", "the peer spoke no TLS"),
    ("unknown protocol", "the peer spoke no TLS"),
    ("record layer failure", "the peer spoke no TLS"),
    ("packet length too long", "the peer spoke no TLS"),
    ("unexpected message", "the peer spoke no TLS"),
    ("bad record type", "the peer spoke no TLS"),
)

HANG_UP = "the peer closed the connection during the TLS handshake"
CLOSED, _LOST = "connection closed by the peer", "connection lost"
WORDLESS = (HANG_UP, CLOSED, _LOST)
"""How `explain` tells that the peer ended the connection without a word why."""

_TWISTED = (
    (error.ConnectionRefusedError, "connection refused"),
    (error.NoRouteError, "no route to host"),
    (error.TCPTimedOutError, "connecting timed out"),
    (error.TimeoutError, "connecting timed out"),
    (error.ConnectionAborted, "connection aborted by this side"),
    (error.ConnectionDone, CLOSED),
    (error.ConnectionLost, _LOST),
)


def explain(failure: Failure | BaseException, transport: object = None) -> str:
    """Why a connection failed or was lost, in one line without a traceback or the peer's address.

    `transport` is the connection's, which knows whether that was during the TLS handshake. What is
    not known here is told in its own words.
    """
    value = failure.value if isinstance(failure, Failure) else failure
    ended = isinstance(value, error.ConnectionDone | error.ConnectionLost)
    return HANG_UP if ended and _in_handshake(transport) else _cause(value)


def with_peer(cause: str, transport: object) -> str:
    """`cause` and the address of the transport's peer, if it is known: for lines that do not name
    it."""
    peer = peer_address(transport)
    return f"{cause} (peer {peer})" if peer else cause


def peer_address(transport: object) -> str:
    """``host:port`` of the transport's peer, "unix socket", or "" when it is not known."""
    get_peer = getattr(transport, "getPeer", None)
    address = get_peer() if get_peer is not None else None
    if isinstance(address, UNIXAddress):
        return "unix socket"
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}"
    if isinstance(address, IPv6Address):
        mapped = address.host.removeprefix("::ffff:")
        return f"{mapped}:{address.port}" if "." in mapped else f"[{address.host}]:{address.port}"
    return ""


def names_of(certificate: x509.Certificate) -> list[str]:
    """The common name and then the alternative names of a certificate, made safe for a log line.

    Raises one of `UNREADABLE` if the certificate's content does not parse.
    """
    names = [
        str(attribute.value)
        for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ]
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        pass
    else:
        names += [
            str(name.value) for name in extension.value if not isinstance(name, x509.OtherName)
        ]
    return [_safe(name) for name in names]


def refusal(
    role: str,
    certificate: crypto.X509,
    code: int | None,
    depth: int,
    identity: ServiceID | None = None,
) -> TlsRefused:
    """Why a certificate is refused.

    `role` is whose it is ("client" or "server"), `code` OpenSSL's verification error and `depth`
    how far above the peer's own certificate it was found. Without `code`, the certificate is good
    but not valid for `identity`.
    """
    try:
        parsed = certificate.to_cryptography()
        names = names_of(parsed)
        issuer = [_safe(part.rfc4514_string()) for part in parsed.issuer.rdns]
    except UNREADABLE:
        return TlsRefused(f"{role} certificate does not parse")
    subject = f"CN={names[0]}" if names else "no name"
    owner = f"{role} certificate" if depth == 0 else f"an authority of the {role} certificate"
    if code is None:
        wanted = identity.hostname.decode("ascii") if isinstance(identity, DNS_ID) else ""
        wanted = wanted or str(getattr(identity, "ip", ""))
        valid = ", ".join(names[1:9]) or "nothing"
        return TlsRefused(f"{owner} is not valid for {wanted} ({subject}), only for {valid}")
    verdict = _VERDICTS.get(code, f"was refused with OpenSSL's verification error {code}")
    if verdict == _UNKNOWN and depth > 0:
        return TlsRefused(f"{role} certificate {_UNKNOWN}, {subject}")
    text = f"{owner} {verdict} ({subject})"
    if verdict == _UNKNOWN:
        text += f", issuer {', '.join(issuer) or 'without a name'}"
    if code == _CODES.ERR_CERT_HAS_EXPIRED:
        text += f", valid until {parsed.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"
    if code == _CODES.ERR_CERT_NOT_YET_VALID:
        text += f", valid from {parsed.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC"
    return TlsRefused(text)


def _in_handshake(transport: object) -> bool:
    """Whether this is a TLS transport that has not seen the peer's end of the handshake."""
    # A plain transport has no handle to ask any more once it is lost.
    get_handle = getattr(transport, "getHandle", None)
    handle = get_handle() if get_handle and ISSLTransport.providedBy(transport) else None
    return isinstance(handle, SSL.Connection) and handle.get_peer_finished() is None


def _cause(value: BaseException | None) -> str:
    if isinstance(value, TlsRefused):
        return value.text
    if isinstance(value, SSL.SysCallError):
        return HANG_UP
    if isinstance(value, SSL.Error):
        reasons = [str(entry[-1]) for entry in (value.args[0] if value.args else [])]
        return _from_reasons(reasons)
    for kind, text in _TWISTED:
        if isinstance(value, kind):
            return text
    return " ".join(str(value).split()).rstrip(".") or type(value).__name__


def _from_reasons(reasons: list[str]) -> str:
    if not reasons:
        return HANG_UP
    for part, text in _REASONS:
        for reason in reasons:
            if part in reason.lower():
                return text or f"the peer broke the TLS handshake off: {reason}"
    return f"TLS failed: {reasons[-1]}"


def _safe(name: str) -> str:
    """A name from a certificate, without what would break a log line."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in name)
    return shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 3] + "..."
