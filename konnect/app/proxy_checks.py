"""
Checks of the proxy's flags about its listeners, in upstream's words.

Each looks at the values of the command line and raises usage.UsageError. Their order is
konnect.app.proxy_options' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.python import usage

from konnect.app.proxy_flags import TLS_VERSIONS
from konnect.app.quoting import quote
from konnect.net.ciphers import CIPHER_SUITES


def require_one_way_in(values: Mapping[str, Any]) -> None:
    """Refuse a frontend that is on a unix socket and on a TCP port, or on neither."""
    if not values["uds-name"]:
        if not values["server-ca-cert"]:
            raise usage.UsageError(
                "server ca cert must be set when in TCP mode (uds-name is empty)"
            )
        return
    if values["server-port"] != 0:
        raise usage.UsageError(
            f"server port should be set to 0 not {values['server-port']} for UDS"
        )
    for name in ("server key", "server cert", "server ca cert"):
        if values[name.replace(" ", "-")]:
            raise usage.UsageError(f"{name} should not be set for UDS")


def require_usual_ports(values: Mapping[str, Any], *, frontend: bool) -> None:
    """Refuse ports that others use; `frontend`: whether --server-port is one of them."""
    names = ["agent", "admin", "health"]
    if frontend:
        names.insert(0, "server")
    for name in names:
        if (port := values[f"{name}-port"]) > 49151:
            raise usage.UsageError(
                f"please do not try to use ephemeral port {port} for the {name} port"
            )
    for name in names:
        if (port := values[f"{name}-port"]) < 1024 and not (
            name == "server" and values["uds-name"]
        ):
            raise usage.UsageError(
                f"please do not try to use reserved port {port} for the {name} port"
            )


def require_known_tls(values: Mapping[str, Any]) -> None:
    """Refuse a TLS version or a cipher suite that Go does not know, or has as insecure."""
    version = values["tls-min-version"]
    if version and version not in TLS_VERSIONS:
        raise usage.UsageError(
            f"unsupported TLS version {quote(version)}, supported values are: "
            + ", ".join(TLS_VERSIONS)
        )
    for suite in values["cipher-suites"]:
        if suite not in CIPHER_SUITES:
            raise usage.UsageError(
                f"cipher suite {suite} not supported, doesn't exist or considered as insecure"
            )


def at_least_a_second(seconds: float) -> float:
    """A keepalive time as upstream's gRPC takes it; 0 and less stay what they are: none."""
    return max(seconds, 1.0) if seconds > 0 else seconds
