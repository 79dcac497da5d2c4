"""Which link a dial takes: the registry of a proxy's links and the rule that chooses among them."""

from __future__ import annotations

import secrets
from typing import Generic, Protocol, TypeVar

from konnect.wire.metadata import Identifiers


class Routable(Protocol):
    """What a strategy may know of a link."""

    agent_id: str
    identifiers: Identifiers
    draining: bool


L = TypeVar("L", bound=Routable)


class Registry(Generic[L]):
    """
    A proxy's links, by agent id, in the order of their arrival.

    An agent may hold several links (it reconnects, or several agents share an id); unlike upstream
    a draining link never hides a healthy one of the same agent.
    """

    def __init__(self) -> None:
        self._by_agent: dict[str, list[L]] = {}

    def add(self, link: L) -> None:
        """Let dials take `link`."""
        self._by_agent.setdefault(link.agent_id, []).append(link)

    def remove(self, link: L) -> None:
        """Forget `link`; unknown ones are no error (a link may end before it was added)."""
        links = self._by_agent.get(link.agent_id)
        if links is None or link not in links:
            return
        links.remove(link)
        if not links:
            del self._by_agent[link.agent_id]

    def __len__(self) -> int:
        """How many agents (not links) are connected: upstream's `ready_backends`."""
        return len(self._by_agent)

    def links(self) -> list[L]:
        """All links, oldest agents first."""
        return [link for links in self._by_agent.values() for link in links]

    def choose(self, address: str) -> L | None:
        """
        The link for a dial to `address`: upstream's `default` strategy.

        A random agent, its first link that is not draining; if all drain, any; None without agents.
        """
        agents = list(self._by_agent.values())
        if not agents:
            return None
        start = secrets.randbelow(len(agents))
        for links in agents[start:] + agents[:start]:
            for link in links:
                if not link.draining:
                    return link
        return agents[start][0]
