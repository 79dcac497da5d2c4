"""
Checks that the proxy's and the agent's options share, in upstream's words.

Each raises usage.UsageError. They look at the file system and at nothing else; whether a
certificate is any good is found out when it is loaded.
"""

from __future__ import annotations

import os
import socket

from twisted.python import usage

from konnect.app.durations import format_duration
from konnect.app.quoting import quote


def require_file(problem: str, path: str) -> None:
    """Refuse a `path` that does not exist; other troubles show when the file is opened."""
    try:
        os.stat(path)
    except FileNotFoundError:
        raise usage.UsageError(f"{problem}, got stat {path}: no such file or directory") from None
    except (OSError, ValueError):
        return


def require_pair(what: str, cert: str, key: str) -> None:
    """Refuse a missing certificate or key file, and one given without the other."""
    if key:
        require_file(f"error checking {what} key {key}", key)
        if not cert:
            raise usage.UsageError(
                f"cannot have {what} cert empty when {what} key is set to {quote(key)}"
            )
    if cert:
        require_file(f"error checking {what} cert {cert}", cert)
        if not key:
            raise usage.UsageError(
                f"cannot have {what} key empty when {what} cert is set to {quote(cert)}"
            )


def require_not_negative(name: str, seconds: float) -> None:
    """Refuse a duration below zero."""
    if seconds < 0:
        raise usage.UsageError(f"{name} must be >= 0, got {format_duration(seconds)}")


def every_interface() -> str:
    """
    The interface that stands for all of this machine's addresses, as upstream binds an empty one.

    `::` takes IPv4 too where the kernel has IPv6; elsewhere it is `0.0.0.0`.
    """
    try:
        with socket.socket(socket.AF_INET6) as probe:
            if probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
                return "0.0.0.0"
            probe.bind(("::", 0))
    except OSError:
        return "0.0.0.0"
    return "::"
