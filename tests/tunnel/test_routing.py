"""Tests of konnect.tunnel.routing."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.routing import Registry
from konnect.wire.metadata import Identifiers


@dataclass(eq=False)
class Link:
    """What a strategy sees of a link."""

    agent_id: str
    draining: bool = False
    identifiers: Identifiers = field(default_factory=Identifiers)


class RegistryTests(SynchronousTestCase):
    """The links of one proxy."""

    def setUp(self) -> None:
        self.registry: Registry[Link] = Registry()

    def add(self, agent_id: str, *, draining: bool = False) -> Link:
        """A link in the registry."""
        link = Link(agent_id, draining)
        self.registry.add(link)
        return link

    def chosen(self, times: int = 60) -> set[int]:
        """The identities of what many dials get."""
        return {id(self.registry.choose("host:80")) for _ in range(times)}

    def test_empty(self) -> None:
        """Without an agent there is no link."""
        self.assertIsNone(self.registry.choose("host:80"))
        self.assertEqual(len(self.registry), 0)
        self.assertEqual(self.registry.links(), [])

    def test_spreads(self) -> None:
        """Dials spread over all agents (60 dials miss one of two once in 2**59)."""
        links = [self.add("a"), self.add("b")]
        self.assertEqual(self.chosen(), {id(link) for link in links})

    def test_counts_agents(self) -> None:
        """Two links of one agent are one agent, and all links are known."""
        first, second = self.add("a"), self.add("a")
        other = self.add("b")
        self.assertEqual(len(self.registry), 2)
        self.assertEqual(self.registry.links(), [first, second, other])

    def test_first_link_of_an_agent(self) -> None:
        """Of an agent's links the oldest is used; the next takes over when it goes."""
        first, second = self.add("a"), self.add("a")
        self.assertEqual(self.chosen(), {id(first)})
        self.registry.remove(first)
        self.assertEqual(self.chosen(), {id(second)})
        self.registry.remove(second)
        self.assertIsNone(self.registry.choose("host:80"))
        self.assertEqual(len(self.registry), 0)

    def test_draining_agents_are_avoided(self) -> None:
        """A draining agent gets no dial while there is another."""
        self.add("a", draining=True)
        healthy = self.add("b")
        self.assertEqual(self.chosen(), {id(healthy)})

    def test_a_draining_link_hides_no_other(self) -> None:
        """An agent whose first link drains is reached over its second."""
        self.add("a", draining=True)
        second = self.add("a")
        self.assertEqual(self.chosen(), {id(second)})

    def test_all_draining(self) -> None:
        """When every agent drains, a draining one is better than none."""
        links = [self.add("a", draining=True), self.add("b", draining=True)]
        self.assertEqual(self.chosen(), {id(link) for link in links})

    def test_remove_unknown(self) -> None:
        """A link that was never added, or is gone already, can be removed."""
        known = self.add("a")
        self.registry.remove(Link("a"))
        self.registry.remove(Link("b"))
        self.assertEqual(self.registry.links(), [known])
        self.registry.remove(known)
        self.registry.remove(known)
        self.assertEqual(self.registry.links(), [])
