"""Tests of konnect.tunnel.routing."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.pool import least_loaded
from konnect.tunnel.routing import Registry
from konnect.tunnel.strategies import Default, DefaultRoute, DestHost
from tests.tunnel.routables import Link, link


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
        self.assertFalse(self.registry.ready)
        self.assertEqual(self.registry.links(), [])

    def test_spreads(self) -> None:
        """Dials spread over all agents (60 dials miss one of two once in 2**59)."""
        links = [self.add("a"), self.add("b")]
        self.assertEqual(self.chosen(), {id(link) for link in links})

    def test_counts_agents(self) -> None:
        """Two links of one agent are one agent, and all links are known."""
        first, second = self.add("a"), self.add("a")
        other = self.add("b")
        self.assertEqual(self.registry.counts(), {"default": 2})
        self.assertEqual(self.registry.links(), [first, second, other])

    def test_states(self) -> None:
        """Every link is in one state; who does not answer is suspect, whether it drains or not."""
        self.assertEqual(self.registry.states(), {"ready": 0, "draining": 0, "suspect": 0})
        self.add("a")
        self.add("b", draining=True)
        self.add("c").suspect = True
        self.add("d", draining=True).suspect = True
        self.assertEqual(self.registry.states(), {"ready": 1, "draining": 1, "suspect": 2})

    def test_newest_link_of_an_agent(self) -> None:
        """Of an agent's links the newest is used; an older one takes over when it goes."""
        first, second = self.add("a"), self.add("a")
        self.assertEqual(self.chosen(), {id(second)})
        self.registry.remove(second)
        self.assertEqual(self.chosen(), {id(first)})
        self.registry.remove(first)
        self.assertIsNone(self.registry.choose("host:80"))
        self.assertFalse(self.registry.ready)

    def test_draining_agents_are_avoided(self) -> None:
        """A draining agent gets no dial while there is another."""
        self.add("a", draining=True)
        healthy = self.add("b")
        self.assertEqual(self.chosen(), {id(healthy)})

    def test_a_draining_link_hides_no_other(self) -> None:
        """An agent whose newest link drains is reached over its older one."""
        first = self.add("a")
        self.add("a", draining=True)
        self.assertEqual(self.chosen(), {id(first)})

    def test_all_draining(self) -> None:
        """When every agent drains, a draining one is better than none."""
        links = [self.add("a", draining=True), self.add("b", draining=True)]
        self.assertEqual(self.chosen(), {id(link) for link in links})

    def test_suspect(self) -> None:
        """A suspect link is used when there is nothing else, not even a draining one."""
        suspect = self.add("a")
        suspect.suspect = True
        self.assertEqual(self.chosen(), {id(suspect)})
        draining = self.add("b", draining=True)
        self.assertEqual(self.chosen(), {id(draining)})
        draining.suspect = True
        self.assertEqual(self.chosen(), {id(suspect), id(draining)})
        healthy = self.add("c")
        self.assertEqual(self.chosen(), {id(healthy)})

    def test_avoid(self) -> None:
        """A link to avoid is not taken, even if it is the only one."""
        first, second = self.add("a"), self.add("b")
        self.assertIs(self.registry.choose("host:80", {first}), second)
        self.assertIs(self.registry.choose("host:80", [second]), first)
        self.assertIsNone(self.registry.choose("host:80", {first, second}))

    def test_remove_unknown(self) -> None:
        """A link that was never added, or is gone already, can be removed."""
        known = self.add("a")
        self.registry.remove(Link("a"))
        self.registry.remove(Link("b"))
        self.assertEqual(self.registry.links(), [known])
        self.registry.remove(known)
        self.registry.remove(known)
        self.assertEqual(self.registry.links(), [])


class StrategiesTests(SynchronousTestCase):
    """Several strategies in one registry."""

    def setUp(self) -> None:
        self.registry: Registry[Link] = Registry(
            {"destHost": DestHost(), "defaultRoute": DefaultRoute()}
        )

    def add(self, identifiers: str, agent_id: str = "a") -> Link:
        """A link in the registry."""
        made = link(identifiers, agent_id)
        self.registry.add(made)
        return made

    def test_in_turn(self) -> None:
        """The first strategy that knows a link decides, else the next one."""
        near = self.add("host=h", "near")
        self.assertIsNone(self.registry.choose("other:1"))
        route = self.add("default-route=true", "route")
        self.assertIs(self.registry.choose("h:1"), near)
        self.assertIs(self.registry.choose("other:1"), route)
        self.assertEqual(self.registry.counts(), {"destHost": 1, "defaultRoute": 1})

    def test_draining_falls_through(self) -> None:
        """A draining match is used when the later strategies have nothing better."""
        near = self.add("host=h", "near")
        near.draining = True
        self.assertIs(self.registry.choose("h:1"), near)
        route = self.add("default-route=true", "route")
        self.assertIs(self.registry.choose("h:1"), route)
        route.draining = True
        self.assertIs(self.registry.choose("h:1"), near)

    def test_avoid_falls_through(self) -> None:
        """A dial that avoids its match goes to the next strategy."""
        near, route = self.add("host=h", "near"), self.add("default-route=true", "route")
        self.assertIs(self.registry.choose("h:1", {near}), route)

    def test_ready(self) -> None:
        """Ready is a registry with a link that some strategy would choose."""
        useless = self.add("", "useless")
        self.assertFalse(self.registry.ready)
        self.assertEqual(self.registry.links(), [useless])
        route = self.add("default-route=true", "route")
        self.assertTrue(self.registry.ready)
        self.registry.remove(route)
        self.assertFalse(self.registry.ready)

    def test_pick(self) -> None:
        """The pick chooses among the good links of a pool, and no others."""
        registry: Registry[Link] = Registry({"default": Default()}, least_loaded)
        links = [Link(str(load), load=load) for load in (2, 0, 1)]
        for one in links:
            registry.add(one)
        self.assertIs(registry.choose("h:1"), links[1])
        links[1].draining = True
        self.assertIs(registry.choose("h:1"), links[2])
        self.assertIs(registry.choose("h:1", {links[2]}), links[0])
