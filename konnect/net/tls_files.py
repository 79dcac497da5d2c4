"""What a TLS context was made of: its files, when their certificates end, how to make it anew.

Nothing here watches anything; konnect.net.renewal does.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

Marks = tuple[object, ...]
"""By what a file is known to be another one or a changed one, for each file."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """When the certificates of one file end."""

    file: str
    kind: str
    """`certificate` (what is shown to peers) or `authority` (what peers are verified with)."""
    time: float
    """POSIX time. Of a chain the first end counts; of a bundle the last, since as long as one
    authority is valid, so are the peers that it vouches for."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A context, and the files as they were when it was made."""

    context: SSL.Context
    expiries: tuple[Expiry, ...]
    digest: bytes
    """Of all certificates: equal ones mean the same TLS. (Keys belong to their certificates.)"""
    marks: Marks
    """Of the files, taken before they were read: a change while reading is seen as a change."""


class Source:
    """
    The files of one context. A path may be a symbolic link: what counts is where it leads.

    :param paths: every file that is read.
    :param make: reads them and makes a new context, given the marks that `Loaded` is to have;
        raises `TlsFileError` among others. Never changes a context: pyOpenSSL forbids to touch one
        that has connections.
    """

    def __init__(self, paths: Sequence[str], make: Callable[[Marks], Loaded]) -> None:
        self._paths = tuple(paths)
        self._make = make

    def marks(self) -> Marks:
        """The files as they are now; may block, never raises."""
        return tuple(_mark(path) for path in self._paths)

    def load(self) -> Loaded:
        """Read the files and make a context; may block."""
        return self._make(self.marks())


def digest_of(*lists: Sequence[x509.Certificate]) -> bytes:
    """A fingerprint of lists of certificates, in their order."""
    digest = hashlib.sha256()
    for certificates in lists:
        digest.update(b"%d " % len(certificates))
        for certificate in certificates:
            digest.update(certificate.public_bytes(Encoding.DER))
    return digest.digest()


def chain_expiry(path: str, chain: Sequence[x509.Certificate]) -> Expiry:
    """When a certificate that is shown with its chain ends."""
    return Expiry(path, "certificate", min(map(_end, chain)))


def bundle_expiry(path: str, authorities: Sequence[x509.Certificate]) -> Expiry:
    """When the last authority of a bundle ends."""
    return Expiry(path, "authority", max(map(_end, authorities)))


def _end(certificate: x509.Certificate) -> float:
    return certificate.not_valid_after_utc.timestamp()


def _mark(path: str) -> object:
    try:
        seen = os.stat(path)
    except (OSError, ValueError) as error:
        return getattr(error, "errno", None)
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
