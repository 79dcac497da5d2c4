"""Cipher suites by the names that Go's crypto/tls gives them, which upstream's flags take.

Only those that Go counts as secure, in the order in which it prefers them: AES of 128 bits before
that of 256, which is no more secure in practice and takes longer (docs/decisions/0018-aes-128.md).
RFC 8446 names those of TLS 1.3, the TLS registry the others.
"""

from __future__ import annotations

from collections.abc import Sequence

_OPENSSL = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
"""OpenSSL's names of those up to TLS 1.2."""

_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")

TLS13 = ":".join(_TLS13).encode("ascii")
"""What OpenSSL is given for those of TLS 1.3: always all of them."""

CIPHER_SUITES = tuple(sorted((*_TLS13, *_OPENSSL)))
"""Every name that may be asked for."""


def cipher_list(names: Sequence[str] = ()) -> bytes:
    """
    What OpenSSL is given for these suites; nothing asked for: all of them.

    As in Go, the order of `names` means nothing, and those of TLS 1.3 are always all offered:
    their names are accepted without effect. With those alone the result is empty, and no version
    before TLS 1.3 can be spoken. Raises ValueError for a name that is not in CIPHER_SUITES.
    """
    for name in names:
        if name not in CIPHER_SUITES:
            raise ValueError(f"cipher suite {name!r} is not one of {', '.join(CIPHER_SUITES)}")
    chosen = [suite for name, suite in _OPENSSL.items() if not names or name in names]
    return ":".join(chosen).encode("ascii")
