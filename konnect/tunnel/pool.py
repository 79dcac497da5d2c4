"""Links that are equally good for a dial, and how one of them is picked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import random
from typing import Generic, Protocol, TypeVar

from konnect.wire.metadata import Identifiers


class Routable(Protocol):
    """What strategies may know of a link."""

    agent_id: str
    identifiers: Identifiers
    draining: bool
    """The agent has asked for others to be preferred."""
    suspect: bool
    """Dials over it go unanswered: it is used when there is nothing else."""

    @property
    def load(self) -> int:
        """Tunnels and dials that it carries."""

    @property
    def fresh(self) -> bool:
        """Whether it is so new that its agent may be about to drop it again."""


L = TypeVar("L", bound=Routable)


class Pool(Generic[L]):
    """
    Links by agent.

    Iterating begins at a random agent, so that whoever takes the first one spreads the dials over
    all agents. An agent may hold several links: it reconnects, or several agents share an id. They
    come newest first (upstream: oldest), since what makes an agent connect anew is mostly that the
    older link is dead, which the proxy may not know yet. Fresh ones come last: an agent that looks
    for further proxies connects to those it has as well, and drops such a link when it learns whose
    it is.
    """

    __slots__ = ("_agents", "_by_id")

    def __init__(self) -> None:
        self._by_id: dict[str, list[L]] = {}
        self._agents: list[list[L]] = []

    def add(self, link: L) -> None:
        """Offer `link`."""
        links = self._by_id.get(link.agent_id)
        if links is None:
            links = self._by_id[link.agent_id] = []
            self._agents.append(links)
        links.insert(0, link)

    def remove(self, link: L) -> None:
        """Offer `link` no more; unknown ones are no error."""
        links = self._by_id.get(link.agent_id)
        if links is None or link not in links:
            return
        links.remove(link)
        if not links:
            del self._by_id[link.agent_id]
            self._agents.remove(links)  # the only empty one

    def __len__(self) -> int:
        """How many agents."""
        return len(self._agents)

    def __iter__(self) -> Iterator[L]:
        agents = self._agents
        if len(agents) == 1 and len(agents[0]) == 1:
            return iter(agents[0])
        return self._from(int(random() * len(agents)))

    def _from(self, start: int) -> Iterator[L]:
        agents = self._agents
        for number in range(start, start + len(agents)):
            links = agents[number % len(agents)]
            if len(links) > 1:
                links = sorted(links, key=_is_fresh)
            yield from links


def _is_fresh(link: L) -> bool:
    return link.fresh


LOOK_AT = 16
"""Links that `least_loaded` compares: all of a small pool, a random part of a large one."""


def first(candidates: Iterator[L]) -> L | None:
    """Whichever comes first, which in a pool is a random one; None when there is none."""
    return next(candidates, None)


def least_loaded(candidates: Iterator[L]) -> L | None:
    """
    That of the agent with the fewest tunnels; None when there is none.

    Of an agent's links the first counts, whatever the others carry: see `Pool`. One that is dead
    would be taken again and again, since it carries less and less.

    Of many a random part is enough: comparing even two at random keeps loads level, and a dial
    must not cost more the more agents there are.
    """
    firsts: dict[str, L] = {}
    for link in islice(candidates, LOOK_AT):
        firsts.setdefault(link.agent_id, link)
    return min(firsts.values(), key=lambda link: (link.fresh, link.load), default=None)
