"""Strategies: what `--proxy-strategies` may name.

Konnect's own are plugins as anybody's are (twisted/plugins/konnect_strategies.py). A strategy is
called once per dial and must not wait for anything; an exception in it ends that dial's client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import Attribute, implementer

from konnect.tunnel.pool import Routable
from konnect.tunnel.strategies import Strategy


class IProxyStrategy(IPlugin):
    """A rule that says which links a dial may take."""

    name = Attribute("A str: the word for it in --proxy-strategies, and its label in the metrics.")

    def make() -> Strategy[Any]:
        """A new strategy, for one proxy; see `konnect.tunnel.strategies.Strategy`."""


class IProxyModifier(IPlugin):
    """A rule that says which of several equally good links a dial takes."""

    name = Attribute("A str: the word for it in --proxy-strategies.")

    def pick(candidates: Iterator[Routable]) -> Routable | None:
        """
        One of the candidates; None when there is none.

        They come in a random order, and there may be thousands: take no more than a few.
        """


@implementer(IProxyStrategy)
class NamedStrategy:
    """A strategy under its name. `make` is mostly a class."""

    def __init__(self, name: str, make: Callable[[], Strategy[Any]]) -> None:
        self.name = name
        self._make = make

    def make(self) -> Strategy[Any]:
        """See IProxyStrategy."""
        return self._make()


@implementer(IProxyModifier)
class NamedModifier:
    """A modifier under its name. `pick` is a function."""

    def __init__(self, name: str, pick: Callable[[Iterator[Any]], Any]) -> None:
        self.name = name
        self._pick = pick

    def pick(self, candidates: Iterator[Routable]) -> Routable | None:
        """See IProxyModifier."""
        picked: Routable | None = self._pick(candidates)
        return picked
