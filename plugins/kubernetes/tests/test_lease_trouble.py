"""Tests of leases beside what goes wrong at an API server, or was done by somebody else."""

from __future__ import annotations

import random

from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from konnect_kubernetes import counting, presence
from konnect_kubernetes.lease import expiry
from tests.fault import Fault
from tests.test_counting import CountCase
from tests.test_presence import MINE, NOW, PresenceCase, spec

CODES = (401, 403, 404, 410, 422, 500, 503)


class ExpiryTests(SynchronousTestCase):
    """When a lease is over: upstream's rule."""

    def test_rule(self) -> None:
        """Since the renewal, or else the acquisition; over from the last second on. A clock that is
        ahead makes it hold longer. What upstream's programs break at is over."""
        acquired = spec(NOW - 10, key="acquireTime")
        for given, valid in (
            (spec(NOW - 29.9), True),
            (spec(NOW - 30), False),
            (acquired, True),
            ({**acquired, **spec(NOW - 31)}, False),
            ({**acquired, "renewTime": None}, True),
            ({**spec(NOW - 31, key="acquireTime"), **spec(NOW)}, True),
            (spec(NOW + 3600), True),
            (spec(NOW, duration=0), False),
            ({"leaseDurationSeconds": 30}, False),
            (spec(NOW, duration=None), False),
            (None, False),
        ):
            self.assertIs(expiry({"spec": given}) > NOW, valid, given)


class PresenceTroubleTests(PresenceCase):
    """A proxy's lease, and those of others."""

    def mine(self, method: str) -> int:
        """Requests of a method about the proxy's own lease."""
        return self.times(method).count(f"kube-system/leases/{MINE}")

    async def test_nobody_there(self) -> None:
        """An API server that begins after the proxy is found."""
        port = self.reactor.listenTCP(0, self.api.site, interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        self.make(kubeconfig=self.write_kubeconfig(f"http://127.0.0.1:{number}")).start()
        await self.until(lambda: self.log.about("is not renewed: no answer"))
        await self.until(lambda: self.log.about("are not deleted: no answer"))
        port = self.reactor.listenTCP(number, self.api.site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        await self.api.until(lambda: self.count("PUT") >= 2)
        self.assertEqual(self.log.about("is not renewed"), 1)

    async def test_codes(self) -> None:
        """Whatever an API server answers for a while, a lease that is there is renewed after it."""
        self.make().start()
        for code in CODES:
            puts = self.count("PUT")
            self.api.faults += [(method, Fault(code)) for method in ("PUT", "GET", "POST", "PUT")]
            await self.api.until(lambda puts=puts: self.count("PUT") >= puts + 4)  # type: ignore[misc]
            self.api.faults.clear()
            await self.until(lambda: self.log.lines[-1:] == [f"the lease {MINE} is published"])
        self.assertEqual(self.api.leases[MINE]["spec"]["holderIdentity"], "p-1")

    async def test_read_again(self) -> None:
        """After a renewal that was refused the lease is looked at again: what is known of it may be
        the reason."""
        self.make().start()
        await self.api.until(lambda: self.count("PUT") >= 1)
        reads = self.mine("GET")
        self.api.faults.append(("PUT", Fault(422, reason="Invalid")))
        await self.until(lambda: self.log.about("answered 422"))
        await self.until(lambda: self.log.lines[-1:] == [f"the lease {MINE} is published"])
        self.assertEqual(self.mine("GET"), reads + 1)

    async def test_no_namespace(self) -> None:
        """A lease that cannot be made for want of its namespace is tried once, and then in time."""
        self.patch(presence, "FIRST_PAUSE", 1000.0)
        self.api.always["POST"] = Fault(404, reason="NotFound")
        self.make().start()
        await self.until(lambda: self.log.about("is not renewed: the API server answered 404"))
        self.assertEqual((self.count("POST"), self.mine("GET")), (1, 1))

    async def test_holder(self) -> None:
        """A lease of this name that somebody else holds becomes the proxy's."""
        self.api.put(MINE, {**spec(NOW + 20, duration=99), "holderIdentity": "other"})
        self.make().start()
        await self.api.until(lambda: self.count("PUT") >= 1)
        made = self.api.leases[MINE]["spec"]
        self.assertEqual((made["holderIdentity"], made["leaseDurationSeconds"]), ("p-1", 30))

    async def test_one_stays(self) -> None:
        """An expired lease that may not be deleted does not keep the others."""
        self.patch(presence, "RENEW", 1000.0)
        for name in "abc":
            self.api.put(name, spec(NOW - 31))
        self.api.faults.append(("DELETE", Fault(403, reason="Forbidden")))
        self.make().start()
        await self.until(lambda: self.ledger.culled_leases == 2)
        self.assertEqual(self.count("DELETE"), 3)
        self.assertIn("a", self.api.leases)
        await self.until(lambda: self.log.about("are not deleted: the API server answered 403"))

    async def test_all_stay(self) -> None:
        """While there is no answer only one is tried: each would take its time."""
        self.patch(presence, "RENEW", 1000.0)
        for name in "abc":
            self.api.put(name, spec(NOW - 31))
        self.api.always["DELETE"] = Fault(drop=True)
        self.make().start()
        await self.until(lambda: self.log.about("are not deleted: no answer"))
        self.assertEqual(self.count("DELETE"), 1)


class CountTroubleTests(CountCase):
    """An agent that counts."""

    async def test_nobody_there(self) -> None:
        """An API server that begins after the agent is found; until then there is one proxy."""
        port = self.reactor.listenTCP(0, self.api.site, interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        for name in "ab":
            self.api.put(name, spec(NOW))
        count = self.begin(kubeconfig=self.write_kubeconfig(f"http://127.0.0.1:{number}"))
        await self.until(lambda: self.log.about("there were 1"))
        port = self.reactor.listenTCP(number, self.api.site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        await self.until(lambda: count.count == 2)

    async def test_codes(self) -> None:
        """Whatever an API server answers for a while, the leases are counted after it."""
        for code in CODES:
            self.api.faults += [(method, Fault(code)) for method in ("GET", "GET", "WATCH")]
        count = self.begin()
        await self.api.until(lambda: not self.api.faults and bool(self.api.watches))
        for name in "ab":
            self.api.put(name, spec(NOW))
        await self.until(lambda: count.count == 2)

    async def test_always_gone(self) -> None:
        """An API server that forgets at once what it has listed is not asked all the time."""
        self.patch(random, "random", lambda: 0.004)
        self.patch(counting, "LONGEST_PAUSE", 1e6)
        self.api.put("a", spec(NOW))
        self.api.put("b", spec(NOW))
        self.api.always["WATCH"] = Fault(410, reason="Expired")
        count = self.begin()
        await self.api.until(lambda: self.asked("WATCH") == 1)
        await deferLater(self.reactor, 0.1)
        self.assertEqual((self.asked("GET"), self.asked("WATCH"), count.count), (1, 1, 2))
