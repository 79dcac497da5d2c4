"""Where proxies announce themselves and agents count them: leases, kept outside konnect.

`--enable-lease-controller` (proxy) and `--count-server-leases` (agent) ask for the plugin with the
name `kubernetes`; the distribution konnect-kubernetes has it. This module is the interface alone:
what a lease looks like, and when it has expired, is the plugin's part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface

from konnect.extension.api import ApiAccess
from konnect.tunnel.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSettings:
    """What the flags of one program say of leases."""

    namespace: str
    """`--lease-namespace`."""
    labels: str
    """The proxy's `--lease-label` (`key=value`, comma separated, put on its lease), or the agent's
    `--lease-label-selector` (the full selector syntax; empty: every lease of the namespace)."""
    access: ApiAccess = field(default_factory=ApiAccess)
    """The API server."""


def parse_labels(text: str) -> dict[str, str]:
    """
    What `LeaseSettings.labels` of a proxy say.

    Raises `ValueError` with upstream's text.
    """
    if not text:
        raise ValueError("empty string provided")
    labels = {}
    for pair in text.split(","):
        key, equals, value = pair.partition("=")
        if not equals or not key or "=" in value:
            raise ValueError(f"invalid label format: {pair}")
        labels[key] = value
    return labels


class ILeases(IPlugin):
    """A place for leases; a plugin provides this."""

    name = Attribute("A str: what the program asks for, `kubernetes`.")

    def publish(reactor: Any, server_id: str, settings: LeaseSettings, ledger: Ledger) -> IPresence:
        """
        What keeps a proxy's lease.

        Nothing is sent and no thread begins before `IPresence.start`.

        :param reactor: the program's reactor: timers, and threads.
        :param server_id: the proxy's name for its agents.
        :param ledger: the proxy's books, where requests are counted.
        :raises ValueError: for settings that cannot be used; the text says which, and what to do.
        """

    def count(reactor: Any, settings: LeaseSettings, ledger: Ledger) -> IProxyCount:
        """
        What counts the leases of an agent's proxies.

        Parameters and errors are those of `publish`.
        """


class IPresence(Interface):
    """One proxy's lease."""

    def start() -> None:
        """
        Publish the lease, renew it, and delete what others left to expire.

        Returns at once. Failures are logged and tried again, for as long as it takes.
        """

    def stop() -> Deferred[None]:
        """
        Stop renewing, then delete the lease; agents stop counting this proxy.

        The Deferred never fails, and takes no longer than a few seconds.
        """


class IProxyCount(Interface):
    """How many proxies have a lease that has not expired."""

    count = Attribute(
        "An int, the last that is known: 1 before the first answer and while there is no lease."
        " An error keeps the last one."
    )

    def start(changed: Callable[[], object]) -> None:
        """
        Begin to count; returns at once, and logs failures.

        :param changed: called without arguments, in the reactor's thread, whenever `count` has
            changed.
        """

    def stop() -> Deferred[None]:
        """
        Stop counting: `changed` is not called any more.

        The Deferred never fails, and takes no longer than a few seconds.
        """
