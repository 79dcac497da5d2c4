"""
Flags about the Kubernetes API server: how it is reached, agents' tokens that it reviews, and the
proxy's lease that it keeps.

They need the distribution konnect-kubernetes; asking for what it does without it ends the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twisted.python import usage

from konnect.app import kinds
from konnect.app.checks import require_not_negative
from konnect.app.flags import Flag
from konnect.extension.api import ApiAccess
from konnect.extension.leases import LeaseSettings, parse_labels
from konnect.wire.token_review import ServiceAccount

API_FLAGS = (
    Flag(
        "kubeconfig",
        kinds.TEXT,
        "",
        "How to reach the API server; empty: as pods do, by their service account.",
    ),
    Flag(
        "kube-api-content-type",
        kinds.TEXT,
        "application/vnd.kubernetes.protobuf",
        "Accepted from upstream's manifests; konnect asks in JSON, which every API server takes.",
    ),
)

PROXY_KUBERNETES_FLAGS = (
    Flag(
        "agent-namespace",
        kinds.TEXT,
        "",
        "Namespace of the agents' service account. With this flag and the next two an agent is"
        " admitted by its token, besides any certificate that --cluster-ca-cert demands."
        " Needs konnect-kubernetes.",
    ),
    Flag("agent-service-account", kinds.TEXT, "", "Name of the agents' service account."),
    Flag(
        "authentication-audience",
        kinds.TEXT,
        "",
        "Audience that agents' tokens must be meant for.",
    ),
    Flag(
        "token-reviews-at-once",
        kinds.INT,
        10,
        "How many agents' tokens may be under review at a time, 1 to 100; others wait their turn.",
    ),
    Flag(
        "token-cache-ttl",
        kinds.DURATION,
        10.0,
        "How long a token that was found good is good for without another review, so also how long"
        " a revoked one may still open a new link; 0: each link is reviewed.",
    ),
    Flag(
        "enable-lease-controller",
        kinds.BOOL,
        False,
        "Publish this proxy as a lease, which agents can count (--count-server-leases), and delete"
        " expired ones. Needs konnect-kubernetes.",
    ),
    Flag("lease-namespace", kinds.TEXT, "kube-system", "Namespace of the proxies' leases."),
    Flag(
        "lease-label",
        kinds.TEXT,
        "k8s-app=konnectivity-server",
        "Labels of the proxies' leases, as key=value, comma separated: put on this proxy's, and"
        " looked for on those that have expired.",
    ),
    *API_FLAGS,
    Flag(
        "kubeconfig-qps",
        kinds.FLOAT,
        0.0,
        "Requests to the API server in a second, for token reviews and for leases each; 0: 5."
        " Negative: no limit.",
    ),
    Flag(
        "kubeconfig-burst",
        kinds.INT,
        0,
        "Requests to the API server that may be made at once above that rate; 0: 10.",
    ),
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """How agents are admitted by tokens."""

    account: ServiceAccount
    at_once: int
    """Reviews that may be under way at a time."""
    remember: float
    """Seconds that a good token is good for without another review; 0: none."""
    access: ApiAccess = field(default_factory=ApiAccess)
    """The API server that reviews them."""


def read_access(values: Mapping[str, Any]) -> ApiAccess:
    """What the flags of a program say of the API server."""
    return ApiAccess(
        kubeconfig=values["kubeconfig"],
        qps=values.get("kubeconfig-qps", 0.0),
        burst=values.get("kubeconfig-burst", 0),
    )


def read_tokens(values: Mapping[str, Any]) -> Tokens | None:
    """How a proxy's agents are admitted by tokens; None where no token is asked for."""
    if not values["agent-namespace"]:
        return None
    return Tokens(
        ServiceAccount(
            namespace=values["agent-namespace"],
            name=values["agent-service-account"],
            audience=values["authentication-audience"],
        ),
        at_once=values["token-reviews-at-once"],
        remember=values["token-cache-ttl"],
        access=read_access(values),
    )


def read_published(values: Mapping[str, Any]) -> LeaseSettings | None:
    """The lease that a proxy publishes; None where it publishes none."""
    if not values["enable-lease-controller"]:
        return None
    return LeaseSettings(
        namespace=values["lease-namespace"],
        labels=values["lease-label"],
        access=read_access(values),
    )


def require_lease_label(values: Mapping[str, Any]) -> None:
    """Refuse (usage.UsageError) labels that are none, if they are to be used; upstream reads them
    in any case."""
    if values["enable-lease-controller"]:
        try:
            parse_labels(values["lease-label"])
        except ValueError as problem:
            raise usage.UsageError(str(problem)) from None


def require_token_flags(values: Mapping[str, Any]) -> None:
    """
    Refuse (usage.UsageError), as upstream does, token authentication that is asked for in part.

    Upstream also forbids --cluster-ca-cert besides it. Here an agent may have to show both.
    """
    names = ("agent-namespace", "agent-service-account", "authentication-audience")
    for name in names:
        if any(values[name] for name in names) and not values[name]:
            raise usage.UsageError(f"--{name} cannot be empty when agent authentication is enabled")
    require_not_negative("token-cache-ttl", values["token-cache-ttl"])
    if not 1 <= (at_once := values["token-reviews-at-once"]) <= 100:
        raise usage.UsageError(f"token-reviews-at-once must be from 1 to 100, got {at_once}")
