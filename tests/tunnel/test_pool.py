"""Tests of konnect.tunnel.pool."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.pool import LOOK_AT, Pool, first, least_loaded
from tests.tunnel.routables import Link


class PoolTests(SynchronousTestCase):
    """Links of equal use."""

    def setUp(self) -> None:
        self.pool: Pool[Link] = Pool()

    def add(self, agent_id: str) -> Link:
        """A link in the pool."""
        link = Link(agent_id)
        self.pool.add(link)
        return link

    def test_empty(self) -> None:
        """Nothing comes out of an empty pool."""
        self.assertEqual((list(self.pool), len(self.pool)), ([], 0))

    def test_begins_anywhere(self) -> None:
        """Every agent comes first at times, and all links come each time."""
        links = [self.add(name) for name in "abc"]
        firsts = set()
        for _ in range(100):
            found = list(self.pool)
            self.assertCountEqual(found, links)
            firsts.add(found[0])
        self.assertEqual(firsts, set(links))

    def test_newest_of_an_agent_first(self) -> None:
        """Of an agent's links the newest comes first, and the agent counts once."""
        older, newer = self.add("a"), self.add("a")
        self.assertEqual(list(self.pool), [newer, older])
        self.assertEqual(len(self.pool), 1)
        self.pool.remove(newer)
        self.assertEqual(list(self.pool), [older])

    def test_fresh_ones_last(self) -> None:
        """A link that its agent may be about to drop comes behind the older ones."""
        oldest, older, newest = self.add("a"), self.add("a"), self.add("a")
        newest.fresh = True
        self.assertEqual(list(self.pool), [older, oldest, newest])

    def test_remove(self) -> None:
        """What is removed comes no more; what was never there can be removed."""
        links = [self.add(name) for name in "abc"]
        for link in links:
            self.pool.remove(link)
            self.pool.remove(link)
            self.assertNotIn(link, list(self.pool))
        self.assertEqual(len(self.pool), 0)


class PickTests(SynchronousTestCase):
    """One of several."""

    def test_first(self) -> None:
        """The first is whichever comes."""
        links = [Link("a"), Link("b")]
        self.assertIs(first(iter(links)), links[0])
        self.assertIsNone(first(iter(())))

    def test_least_loaded(self) -> None:
        """The one with the least load is taken; of equals the first."""
        links = [Link("a", load=3), Link("b", load=1), Link("c", load=2), Link("d", load=1)]
        self.assertIs(least_loaded(iter(links)), links[1])
        self.assertIsNone(least_loaded(iter(())))

    def test_fresh_ones_are_no_bargain(self) -> None:
        """A link that its agent may be about to drop carries nothing, and is not taken for it."""
        links = [Link("a", fresh=True), Link("b", load=5)]
        self.assertIs(least_loaded(iter(links)), links[1])

    def test_older_ones_are_no_bargain(self) -> None:
        """Nor is an agent's older link, which is mostly dead and so carries less and less."""
        pool: Pool[Link] = Pool()
        links = [Link("a", load=0), Link("a", load=5), Link("b", load=6)]
        for link in links:
            pool.add(link)
        self.assertEqual({least_loaded(iter(pool)) for _ in range(40)}, {links[1]})

    def test_bounded(self) -> None:
        """Of thousands only a few are looked at."""
        candidates = iter([Link(str(number), load=9) for number in range(1000)])
        least_loaded(candidates)
        self.assertEqual(sum(1 for _ in candidates), 1000 - LOOK_AT)
