"""Whom a peer has proved to be: the name in the certificate that it was let in with."""

from __future__ import annotations

from cryptography.x509.oid import NameOID

from konnect.net.diagnosis import UNREADABLE

_LONGEST = 200


def user_of(transport: object) -> str:
    """
    The common name of the peer's certificate, at most 200 characters; empty: it has shown none.

    Kubernetes takes the common name for the user as well. It may hold any character.
    """
    get_certificate = getattr(transport, "getPeerCertificate", None)
    certificate = get_certificate() if get_certificate is not None else None
    if certificate is None:
        return ""
    try:
        subject = certificate.to_cryptography().subject
    except UNREADABLE:
        return ""  # OpenSSL has accepted it, but its names do not parse
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value)[:_LONGEST] if names else ""
