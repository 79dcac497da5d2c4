"""One name's addresses from the reactor's resolver, which can be given up at any time.

The stock resolver asks the C library in a thread and cannot be stopped: a lookup that is given up
goes on there unheard, and occupies the thread until the C library is done.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from zope.interface import implementer


@implementer(IResolutionReceiver)
class Lookup:
    """
    Collects the addresses of one name, until nobody wants them any more.

    :param done: called once, with the IP addresses (IPv6 ones with their zone) in the resolver's
        order; with none when there is no such host, or the resolver failed.
    """

    def __init__(self, done: Callable[[list[str]], None]) -> None:
        self._done: Callable[[list[str]], None] | None = done
        self._resolution: IHostResolution | None = None
        self._ips: list[str] = []
        self.problem: Exception | None = None
        """Why nothing was found, where the resolver tells (ours does)."""

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._resolution = resolutionInProgress

    def addressResolved(self, address: IAddress) -> None:
        if isinstance(address, IPv6Address) and address.scopeID and "%" not in address.host:
            self._ips.append(f"{address.host}%{address.scopeID}")
        elif isinstance(address, IPv4Address | IPv6Address):
            self._ips.append(address.host)

    def resolutionComplete(self) -> None:
        done, self._done = self._done, None
        resolution, self._resolution = self._resolution, None
        self.problem = getattr(resolution, "problem", None)
        if done is not None:
            done(self._ips)

    def abandon(self) -> None:
        """Stop the lookup if that can be done (not in a thread); hear no more of it in any case."""
        resolution, self._resolution = self._resolution, None
        self._done = None
        if resolution is not None:
            with suppress(NotImplementedError):
                resolution.cancel()
