"""`--proxy-strategies`: from its text to a registry that obeys it.

Upstream's rules for the list: empty items are passed by, names are exact, nothing is trimmed.
"""

from __future__ import annotations

from typing import Any

from konnect.extension.finding import installed
from konnect.extension.strategies import IProxyModifier, IProxyStrategy
from konnect.tunnel.pool import first
from konnect.tunnel.routing import Pick, Registry


def parse_strategies(text: str) -> tuple[str, ...]:
    """The names in a list, in their order; raises ValueError in upstream's words."""
    if not text:
        raise ValueError("ProxyStrategies cannot be empty")
    names = tuple(name for name in text.split(",") if name)
    strategies, modifiers = installed(IProxyStrategy), installed(IProxyModifier)
    for name in names:
        if name not in strategies and name not in modifiers:
            raise ValueError(f"invalid proxy strategies: unknown proxy strategy: {name}")
    if not any(name in strategies for name in names):
        if names:
            raise ValueError(
                f"invalid proxy strategies: {names[0]} only changes how others choose:"
                " name one of those too, such as default"
            )
        raise ValueError("invalid proxy strategies: proxy strategies cannot be empty")
    modifying = list(dict.fromkeys(name for name in names if name not in strategies))
    if len(modifying) > 1:
        raise ValueError(
            f"invalid proxy strategies: only one of {' and '.join(modifying)} can choose"
        )
    return names


def make_registry(names: tuple[str, ...]) -> Registry[Any]:
    """A registry for names that `parse_strategies` has accepted."""
    strategies, modifiers = installed(IProxyStrategy), installed(IProxyModifier)
    pick: Pick[Any] = first
    for name in names:
        if name not in strategies:
            pick = modifiers[name].pick
    return Registry({name: strategies[name].make() for name in names if name in strategies}, pick)
