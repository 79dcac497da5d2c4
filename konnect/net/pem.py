"""Certificates, authorities and private keys out of PEM files, read by upstream's rules.

Blocks of other types are skipped, and so is text that is no valid PEM. A CERTIFICATE block that
holds no certificate is an error, and a file without any is one too. Every error is a TlsFileError
that names the file and what to do about it, and never shows what is in it.

Nothing here watches files for changes, and nothing checks whether a certificate is still valid:
peers do.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
)

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

# The body stops at the next BEGIN, so that a block without its END does not swallow the one after
# it.
_BLOCK = re.compile(
    rb"-----BEGIN ([^\r\n]*?)-----[ \t]*\r?\n((?:(?!-----BEGIN ).)*?)-----END \1-----", re.DOTALL
)
_HEADERS = re.compile(rb"(?:[^\r\n:]+:[^\r\n]*\r?\n(?:[ \t]+[^\r\n]*\r?\n)*)+\r?\n")


class TlsFileError(Exception):
    """A file for TLS cannot be used. The text names the file, what is wrong, and what to do.

    `path` is the file's path as it was given.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Identity:
    """What one side of a TLS connection shows of itself."""

    chain: tuple[x509.Certificate, ...]
    """Its own certificate, then those that lead to its authority."""
    key: PrivateKey


def read_authorities(path: str) -> tuple[x509.Certificate, ...]:
    """The certificates of a CA bundle, in the order of the file. Raises TlsFileError."""
    return _certificates(path, "CA bundle", "give a PEM file with the authority's certificate")


def read_identity(cert: str, key: str) -> Identity:
    """A certificate chain, own certificate first, and its private key. Raises TlsFileError.

    Both may be in one file.
    """
    chain = _certificates(cert, "certificate", "give a PEM file with the certificate and its chain")
    private_key = _read_key(key)
    if _public_bytes(chain[0].public_key()) != _public_bytes(private_key.public_key()):
        raise TlsFileError(
            key,
            f"this private key does not belong to the first certificate in {cert}; "
            "give the two files that were made together, the own certificate before its chain",
        )
    return Identity(chain, private_key)


def _certificates(path: str, kind: str, advice: str) -> tuple[x509.Certificate, ...]:
    found = []
    for label, _, body in _blocks(_read(path, kind)):
        if label != b"CERTIFICATE":
            continue
        try:
            found.append(x509.load_der_x509_certificate(body))
        except ValueError:
            place = f"CERTIFICATE block {len(found) + 1}"
            raise TlsFileError(
                path, f"{place} does not hold a certificate; remove it or make the file anew"
            ) from None
    if not found:
        raise TlsFileError(path, f"no certificate in this {kind}; {advice}")
    return tuple(found)


def _read_key(path: str) -> PrivateKey:
    for label, headers, body in _blocks(_read(path, "private key")):
        if label == b"ENCRYPTED PRIVATE KEY" or b"ENCRYPTED" in headers:
            raise TlsFileError(
                path,
                "the private key is encrypted, and there is nobody to ask for the passphrase; "
                "store it decrypted (openssl pkey -in OLD -out NEW) and readable only by this user",
            )
        if label != b"PRIVATE KEY" and not label.endswith(b" PRIVATE KEY"):
            continue
        try:
            key = load_der_private_key(body, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            break
        if isinstance(
            key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
        ):
            return key
        break
    else:
        raise TlsFileError(path, "no private key in this file; give a PEM file that holds one")
    raise TlsFileError(
        path, "the private key does not parse; give an ECDSA, Ed25519 or RSA key in PEM"
    )


def _read(path: str, kind: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except PermissionError:
        raise TlsFileError(
            path, f"cannot read the {kind}: permission denied; let user {os.geteuid()} read it"
        ) from None
    except (OSError, ValueError) as error:
        text = (getattr(error, "strerror", None) or str(error)).lower()
        raise TlsFileError(path, f"cannot read the {kind}: {text}; correct the path") from None


def _blocks(text: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(label, headers, decoded body) of each well-formed PEM block."""
    for match in _BLOCK.finditer(text):
        label, body = match.groups()
        headers = _HEADERS.match(body)
        encoded = body[headers.end() :] if headers else body
        try:
            decoded = base64.b64decode(b"".join(encoded.split()), validate=True)
        except binascii.Error:
            continue
        yield label, headers.group() if headers else b"", decoded


def _public_bytes(key: object) -> bytes | None:
    """The key's SubjectPublicKeyInfo, to compare keys by."""
    encode = getattr(key, "public_bytes", None)
    return encode(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if encode else None
