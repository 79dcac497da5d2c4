"""Tests of konnect_kubernetes.counting: how many proxies an agent knows of."""

from __future__ import annotations

import json
import random

from konnect.extension.leases import LeaseSettings
from konnect.tunnel.ledger import Ledger
from konnect_kubernetes import calls, counting, lease_calls, watching
from konnect_kubernetes.counting import ProxyCount, make_count
from tests.case import ApiCase, FakeLog
from tests.fault import Fault
from tests.test_presence import NOW, spec

SELECTOR = "k8s-app=konnectivity-server"


class CountCase(ApiCase):
    """One agent and its API server."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(counting, "FIRST_PAUSE", 0.004)
        self.patch(counting, "LONGEST_PAUSE", 0.02)
        self.patch(counting, "GRACE", (1000.0, 1000.0))
        self.patch(random, "random", lambda: 0.0)
        self.log = FakeLog()
        self.patch(counting, "log", self.log)
        self.ledger = Ledger(lambda: 0.0, agent=True)
        self.wall = NOW
        self.counts: list[int] = []

    def begin(self, selector: str = SELECTOR, kubeconfig: str = "") -> ProxyCount:
        """An agent that counts, and stops at the end."""
        settings = LeaseSettings(
            namespace="kube-system", labels=selector, access=self.access_to(kubeconfig)
        )
        made = make_count(self.reactor, settings, self.ledger)
        made._wall = lambda: self.wall
        self.addCleanup(made.stop)
        self.assertEqual(made.count, 1)
        made.start(lambda: self.counts.append(made.count))
        return made

    def asked(self, method: str) -> int:
        """How many requests of a method there were."""
        return sum(asked == method for asked, _ in self.api.requests)

    async def watching(self) -> None:
        """Wait until a watch is open."""
        await self.api.until(lambda: bool(self.api.watches))


class CountTests(CountCase):
    """One agent."""

    async def test_counted(self) -> None:
        """Valid leases with the labels count; others do not."""
        for name in "abc":
            self.api.put(name, spec(NOW - 10))
        self.api.put("acquired", spec(NOW - 10, key="acquireTime"))
        self.api.put("expired", spec(NOW - 31))
        self.api.put("odd", {"renewTime": "soon", "leaseDurationSeconds": 30})
        self.api.put("other", spec(NOW), {"k8s-app": "other"})
        count = self.begin()
        await self.watching()
        self.assertEqual((count.count, self.counts), (4, [4]))
        self.assertEqual(self.api.requests[0], ("GET", "kube-system/leases"))
        self.assertEqual(self.api.selectors[0], SELECTOR)

    async def test_none(self) -> None:
        """Without leases the count is 1."""
        count = self.begin()
        await self.watching()
        self.assertEqual((count.count, self.counts), (1, []))

    async def test_changes(self) -> None:
        """Leases that come, go and are renewed are noticed as they do, by one watch."""
        count = self.begin()
        await self.watching()
        self.api.put("a", spec(NOW))
        self.api.put("b", spec(NOW))
        await self.until(lambda: count.count == 2)
        self.api.put("c", spec(NOW))
        await self.until(lambda: count.count == 3)
        self.api.remove("a")
        await self.until(lambda: count.count == 2)
        self.wall += 20
        self.api.put("b", spec(self.wall))
        self.wall += 15
        self.api.put("d", spec(self.wall))
        # c has run out and b has not: the watch is alive, so that is true.
        await self.until(lambda: self.counts[-1:] == [2] and "d" in count._expiries)
        self.assertEqual(self.asked("WATCH"), 1)
        self.assertEqual(self.asked("GET"), 1)

    async def test_run_out(self) -> None:
        """A lease that nobody renews or deletes is asked about before it counts no more."""
        self.patch(counting, "GRACE", (-29.99, -29.99))
        self.api.put("a", spec(NOW))
        self.api.put("b", spec(NOW))
        count = self.begin()
        await self.watching()
        self.assertEqual(count.count, 2)
        self.wall += 31
        self.api.put("a", spec(self.wall))
        self.api.always["GET"] = Fault(500)
        await self.until(lambda: self.log.about("the API server answered 500"))
        self.counts.clear()
        del self.api.always["GET"]
        await self.until(lambda: count.count == 1)

    async def test_deaf(self) -> None:
        """While the API server cannot be asked the count stays, though all leases run out."""
        self.patch(counting, "GRACE", (-29.99, -29.99))
        self.api.put("a", spec(NOW))
        self.api.put("b", spec(NOW))
        count = self.begin()
        await self.watching()
        self.api.always["GET"] = self.api.always["WATCH"] = Fault(drop=True)
        self.wall += 1000
        await self.api.until(lambda: self.asked("GET") >= 5)
        self.assertEqual((count.count, self.counts), (2, [2]))
        self.assertEqual(self.log.about("proxies are not counted by their leases"), 1)
        self.api.always.clear()
        await self.until(lambda: count.count == 1)
        self.assertEqual(self.log.about("by their leases again"), 1)

    async def test_watch_ends(self) -> None:
        """A watch that ends in order goes on where it was: nothing is listed, nothing missed."""
        count = self.begin()
        for number in range(3):
            await self.watching()
            self.api.put(str(number), spec(NOW))
            await self.until(lambda: len(count._expiries) == number + 1)  # noqa: B023
            self.api.end_watches()
        await self.watching()
        self.assertEqual(count.count, 3)
        self.assertEqual(self.asked("GET"), 1)
        self.assertEqual(self.asked("WATCH"), 4)

    async def test_watch_ends_at_once(self) -> None:
        """A watch that always ends at once is trouble, and not asked for again and again."""
        self.patch(counting, "FIRST_PAUSE", 1000.0)
        self.api.always["WATCH"] = Fault(body=b"")
        count = self.begin()
        count._pause = 1000.0
        await self.until(lambda: self.log.about("it ends each watch at once"))
        self.assertEqual(self.asked("WATCH"), 1)

    async def test_reasons(self) -> None:
        """What an error gives as its code or reason makes no label of its own, unless it is one."""
        for odd in ({"code": 10**9}, {"code": "x"}, {"code": 500, "reason": "at 10:07"}):
            line = json.dumps({"type": "ERROR", "object": odd}).encode() + b"\n"
            self.api.faults.append(("WATCH", Fault(body=line)))
        self.api.faults.append(("GET", Fault(504, reason="Sorry, no 7")))
        self.begin()
        await self.api.until(lambda: not self.api.faults and bool(self.api.watches))
        self.assertEqual(set(self.ledger.lease_calls.counts("watch")), {("200", "")})
        self.assertEqual(set(self.ledger.lease_calls.counts("list")), {("200", ""), ("504", "")})

    async def test_gone(self) -> None:
        """410 Gone, as an answer or as an event, begins anew with a LIST."""
        count = self.begin()
        await self.watching()
        self.api.end_watches({"type": "ERROR", "object": {"kind": "Status", "code": 410}})
        await self.api.until(lambda: self.asked("GET") == 2 and bool(self.api.watches))
        self.api.put("a", spec(NOW))
        await self.until(lambda: count.count == 1 and "a" in count._expiries)
        watches = list(self.api.watches)
        self.api.watches.clear()
        self.api.put("b", spec(NOW))
        self.api.compact()
        for watch in watches:
            watch.finish()
        await self.until(lambda: count.count == 2)
        self.assertEqual(self.asked("GET"), 3)
        self.assertIn(("410", "Expired"), self.ledger.lease_calls.counts("watch"))
        self.assertEqual(self.log.lines, [])

    async def test_bookmarks(self) -> None:
        """A bookmark moves the place where the next watch begins, and no more."""
        self.begin()
        await self.watching()
        self.api.version += 50
        self.api.end_watches(
            {
                "type": "BOOKMARK",
                "object": {"metadata": {"resourceVersion": str(self.api.version)}},
            }
        )
        self.api.oldest = self.api.version
        await self.api.until(lambda: self.asked("WATCH") == 2 and bool(self.api.watches))
        self.assertEqual(self.asked("GET"), 1)
        self.assertEqual(self.counts, [])

    async def test_nonsense(self) -> None:
        """Answers and events that cannot be read are trouble, and the count is kept."""
        self.api.put("a", spec(NOW))
        self.api.put("b", spec(NOW))
        count = self.begin()
        await self.watching()
        for body in (b"", b"<html>", b"[]", b'{"items": 7}'):
            self.api.faults.append(("GET", Fault(body=body)))
        for body in (
            b"nonsense\n",
            b"[]\n",
            b'{"type": "ADDED"}\n',
            b'{"type": "ERROR", "object": {"code": 410}}\n',
            b'{"type": "ERROR", "object": {"code": 500, "message": "oh"}}\n',
            b'{"type": "ADDED", "object": {"metadata": {"name": "x"}}}\n',
        ):
            self.api.faults.append(("WATCH", Fault(body=body)))
        self.api.end_watches()
        await self.api.until(lambda: not self.api.faults and bool(self.api.watches))
        self.assertEqual((count.count, self.counts), (2, [2]))

    async def test_endless_event(self) -> None:
        """An event without an end is not collected for ever."""
        self.patch(watching, "LONGEST_LINE", 1000)
        self.api.faults.append(("WATCH", Fault(body=b"x" * 5000)))
        self.begin()
        await self.watching()
        self.assertEqual(self.log.about("an event without an end"), 1)

    async def test_quiet(self) -> None:
        """A watch in which nothing is heard for too long is made anew."""
        self.patch(watching, "QUIET", 0.05)
        self.begin()
        await self.api.until(lambda: self.asked("WATCH") >= 3)
        self.assertEqual(self.asked("GET"), 1)

    async def test_slow(self) -> None:
        """A LIST that is not answered is given up, and asked for again."""
        self.patch(lease_calls, "TIMEOUT", (0.2, 0.1))
        self.api.faults += [("GET", Fault(silent=True)), ("GET", Fault(drip=True))]
        self.begin()
        await self.watching()
        self.assertGreaterEqual(self.asked("GET"), 3)

    async def test_pages(self) -> None:
        """A LIST in several answers is read to its end."""
        self.patch(lease_calls, "PAGE", 2)
        for name in "abcde":
            self.api.put(name, spec(NOW))
        count = self.begin()
        await self.watching()
        self.assertEqual(count.count, 5)
        self.assertEqual(self.asked("GET"), 3)

    async def test_everything(self) -> None:
        """An empty selector counts every lease of the namespace."""
        self.api.put("a", spec(NOW), {})
        self.api.put("b", spec(NOW), {"x": "y"})
        count = self.begin(selector="")
        await self.watching()
        self.assertEqual(count.count, 2)

    async def test_stopped(self) -> None:
        """A stop wakes the watch that is under way, and tells of nothing after."""
        count = self.begin()
        await self.watching()
        await count.stop()
        self.api.put("a", spec(NOW))
        self.api.put("b", spec(NOW))
        self.assertEqual(self.counts, [])
        self.assertEqual(count._calls._busy, 0)

    async def test_stopped_while_asking(self) -> None:
        """A stop does not wait for a server that says nothing."""
        self.patch(calls, "STOP_WITHIN", 0.05)
        self.api.always["GET"] = Fault(silent=True)
        count = self.begin()
        await self.api.until(lambda: bool(self.api.held))
        await count.stop()
        self.api.close()
        self.assertEqual(self.log.lines, [])
