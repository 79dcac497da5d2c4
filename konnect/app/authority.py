"""X.509: a certificate authority that issues server and client certificates.

Made with ``cryptography``. The certificates satisfy Go's crypto/tls and OpenSSL's
``-x509_strict``: random serials, critical basicConstraints and keyUsage, subject and authority key
identifiers, one extended key usage per leaf.

It keeps no state (no index of issued certificates, no revocation) and writes no files: see
konnect.app.certs.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

SKEW = datetime.timedelta(hours=1)
"""How far back a certificate's life begins, so that peers whose clocks are late accept it at
once.
"""

_DNS_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


class BadSubjectName(ValueError):
    """A text that is neither a host name nor an IP address; the message names it."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The span in which a certificate is valid (aware datetimes)."""

    begin: datetime.datetime
    end: datetime.datetime

    @classmethod
    def of_days(cls, days: int, now: datetime.datetime | None = None) -> Lifetime:
        """`days` from `now` (default: the current time), begun an hour early for late clocks."""
        moment = now or datetime.datetime.now(datetime.UTC)
        return cls(moment - SKEW, moment + datetime.timedelta(days=days))


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its unencrypted PKCS#8 private key, both as PEM."""

    certificate: bytes
    key: bytes


def subject_name(text: str) -> x509.GeneralName:
    """Parse what ``--san`` takes: a host name or an IP address, with or without ``DNS:`` or ``IP:``
    before it.

    A name may begin with the wildcard label ``*``. Raises BadSubjectName.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind.upper() in ("DNS", "IP"):
        value, wanted = rest, kind.upper()
    else:
        value, wanted = text, ""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        if wanted == "IP":
            raise BadSubjectName(f"{text!r} is not an IP address") from None
    else:
        if wanted == "DNS":
            raise BadSubjectName(f"{text!r} is an IP address, not a host name")
        return x509.IPAddress(address)
    labels = value.removeprefix("*.").split(".")
    if len(value) > 253 or not all(_DNS_LABEL.fullmatch(label) for label in labels):
        raise BadSubjectName(f"{text!r} is neither a host name nor an IP address")
    if labels[-1].isdigit():
        raise BadSubjectName(f"{text!r} looks like an IP address but is none")
    return x509.DNSName(value)


def new_key(rsa_bits: int | None = None) -> PrivateKey:
    """A new private key: ECDSA P-256, or RSA of `rsa_bits`."""
    if rsa_bits is not None:
        return rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)
    return ec.generate_private_key(ec.SECP256R1())


class Authority:
    """A self-signed authority; what it issues has keys of the same kind as its own."""

    def __init__(self, certificate: x509.Certificate, key: PrivateKey) -> None:
        self._certificate = certificate
        self._key = key
        self._rsa_bits = key.key_size if isinstance(key, rsa.RSAPrivateKey) else None

    @classmethod
    def create(cls, common_name: str, life: Lifetime, *, rsa_bits: int | None = None) -> Authority:
        """Make a new authority, with an RSA key if `rsa_bits` is given."""
        key = new_key(rsa_bits)
        name = _name(common_name)
        key_identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = (
            _builder(name, name, life)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(cert_sign=True), critical=True)
            .add_extension(key_identifier, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_identifier),
                critical=False,
            )
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, pair: Pair) -> Authority:
        """The authority that `pair` is. Raises ValueError if the key is neither elliptic-curve nor
        RSA.
        """
        key = load_pem_private_key(pair.key, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("the authority's key is neither an elliptic-curve nor an RSA key")
        return cls(x509.load_pem_x509_certificate(pair.certificate), key)

    @property
    def pair(self) -> Pair:
        """The authority's own certificate and key."""
        return _pair(self._certificate, self._key)

    def issue_server(
        self, common_name: str, life: Lifetime, names: Sequence[x509.GeneralName]
    ) -> Pair:
        """A server certificate that is valid for `names` (at least one), with a new key."""
        alternatives = x509.SubjectAlternativeName(names)
        return self._issue(common_name, life, ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def issue_client(self, common_name: str, life: Lifetime) -> Pair:
        """A client certificate, with a new key."""
        return self._issue(common_name, life, ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def _issue(
        self,
        common_name: str,
        life: Lifetime,
        usage: x509.ObjectIdentifier,
        alternatives: x509.SubjectAlternativeName | None,
    ) -> Pair:
        key = new_key(self._rsa_bits)
        public_key = key.public_key()
        issuer_key = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        builder = (
            _builder(_name(common_name), self._certificate.subject, life)
            .public_key(public_key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(encipher=self._rsa_bits is not None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key.value),
                critical=False,
            )
        )
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        return _pair(builder.sign(self._key, hashes.SHA256()), key)


def _builder(subject: x509.Name, issuer: x509.Name, life: Lifetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(life.begin)
        .not_valid_after(life.end)
    )


def _key_usage(*, cert_sign: bool = False, encipher: bool = False) -> x509.KeyUsage:
    """An authority signs certificates; a leaf signs handshakes and, with RSA, decrypts keys."""
    return x509.KeyUsage(
        digital_signature=not cert_sign,
        content_commitment=False,
        key_encipherment=encipher,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=cert_sign,
        crl_sign=cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pair(certificate: x509.Certificate, key: PrivateKey) -> Pair:
    return Pair(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
