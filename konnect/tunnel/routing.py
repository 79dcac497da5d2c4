"""Which link a dial takes: a proxy's links, and the strategies that are asked in turn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Generic

from konnect.tunnel.destination import Destination
from konnect.tunnel.pool import L, first
from konnect.tunnel.strategies import Default, Strategy

Pick = Callable[[Iterator[L]], L | None]
"""Picks one of equally good links, or None when there is none."""


class Registry(Generic[L]):
    """
    A proxy's links.

    :param strategies: by the names that metrics have for them, in the order in which they are
        asked; `default` alone if None.
    :param pick: how one of several equally good links is picked.
    """

    def __init__(
        self, strategies: Mapping[str, Strategy[L]] | None = None, pick: Pick[L] = first
    ) -> None:
        self._strategies: Mapping[str, Strategy[L]] = strategies or {"default": Default()}
        self._pick = pick
        self._links: dict[L, None] = {}

    def add(self, link: L) -> None:
        """Let dials take `link`."""
        self._links[link] = None
        for strategy in self._strategies.values():
            strategy.add(link)

    def remove(self, link: L) -> None:
        """Forget `link`; unknown ones are no error (a link may end before it was added)."""
        if link in self._links:
            del self._links[link]
            for strategy in self._strategies.values():
                strategy.remove(link)

    def links(self) -> list[L]:
        """All links, oldest first."""
        return list(self._links)

    def states(self) -> dict[str, int]:
        """How many links are `ready`, `draining` and `suspect` (their dials went unanswered)."""
        states = {"ready": 0, "draining": 0, "suspect": 0}
        for link in self._links:
            states["suspect" if link.suspect else "draining" if link.draining else "ready"] += 1
        return states

    def counts(self) -> dict[str, int]:
        """By strategy, how many agents, hosts or ranges it knows: upstream's `ready_backends`."""
        return {name: len(strategy) for name, strategy in self._strategies.items()}

    @property
    def ready(self) -> bool:
        """Whether there is a link that a dial could take (upstream asks its first strategy)."""
        return any(len(strategy) for strategy in self._strategies.values())

    def choose(self, address: str, avoid: Collection[L] = ()) -> L | None:
        """
        The link for a dial to `address`, none of `avoid`; None when no strategy has one.

        The first strategy that has a link in good standing decides. Links that drain are used when
        no strategy has a better one (upstream's destHost prefers its own, draining, to those of
        the strategies after it), and suspect ones when there is nothing else.
        """
        destination = Destination(address)
        for standing in _STANDINGS:
            for strategy in self._strategies.values():
                for pool in strategy.pools(destination):
                    links: Iterator[L] = filter(standing, pool)
                    if avoid:
                        links = (link for link in links if link not in avoid)
                    link = self._pick(links)
                    if link is not None:
                        return link
        return None


def _is_fit(link: L) -> bool:
    return not (link.draining or link.suspect)


def _is_draining(link: L) -> bool:
    return link.draining and not link.suspect


def _is_suspect(link: L) -> bool:
    return link.suspect


_STANDINGS = (_is_fit, _is_draining, _is_suspect)
