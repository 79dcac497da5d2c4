"""Tests of konnect_kubernetes.presence: a proxy's lease over real HTTP, and those of others."""

from __future__ import annotations

from datetime import UTC, datetime

from konnect.extension.leases import LeaseSettings
from konnect.tunnel.ledger import Ledger
from konnect_kubernetes import calls, lease_calls, presence
from konnect_kubernetes.presence import Presence, make_presence
from tests.api_server import Object
from tests.case import ApiCase, FakeLog
from tests.fault import Fault

MINE = "konnectivity-proxy-server-p-1"
NOW = 1_790_000_000.0
"""The time of day of these tests."""


def spec(renewed: float, duration: int | None = 30, key: str = "renewTime") -> Object:
    """The spec of somebody's lease."""
    made: Object = {key: datetime.fromtimestamp(renewed, UTC).isoformat()}
    if duration is not None:
        made["leaseDurationSeconds"] = duration
    return made


class PresenceCase(ApiCase):
    """One proxy and its API server."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(presence, "RENEW", 0.02)
        self.patch(presence, "FIRST_PAUSE", 0.002)
        self.patch(presence, "LONGEST_PAUSE", 0.02)
        self.log = FakeLog()
        self.patch(presence, "log", self.log)
        self.ledger = Ledger(lambda: 0.0)
        self.wall = NOW

    def make(self, labels: str = "k8s-app=konnectivity-server", kubeconfig: str = "") -> Presence:
        """A proxy's lease that is stopped at the end."""
        settings = LeaseSettings(
            namespace="kube-system", labels=labels, access=self.access_to(kubeconfig)
        )
        made = make_presence(self.reactor, "p-1", settings, self.ledger)
        made._wall = lambda: self.wall
        self.addCleanup(made.stop)
        return made

    def count(self, method: str) -> int:
        """How many requests of a method there were."""
        return sum(asked == method for asked, _ in self.api.requests)

    def times(self, method: str) -> list[str]:
        """The paths of the requests of a method."""
        return [path for asked, path in self.api.requests if asked == method]


class PresenceTests(PresenceCase):
    """The proxy's own lease."""

    async def test_published(self) -> None:
        """The lease is upstream's: name, holder, duration, time in microseconds, labels."""
        self.make("k8s-app=konnectivity-server,zone=a").start()
        await self.api.until(lambda: MINE in self.api.leases)
        lease = self.api.leases[MINE]
        self.assertEqual(
            lease["metadata"]["labels"], {"k8s-app": "konnectivity-server", "zone": "a"}
        )
        written = lease["spec"]["renewTime"]
        self.assertRegex(written, r"^2026-09-21T\d\d:\d\d:\d\d\.000001(Z|\+00:00)$")
        self.assertEqual(lease["spec"]["holderIdentity"], "p-1")
        self.assertEqual(lease["spec"]["leaseDurationSeconds"], 30)
        self.assertNotIn("acquireTime", lease["spec"])
        self.assertEqual(self.times("POST"), ["kube-system/leases"])

    async def test_renewed(self) -> None:
        """It is renewed from what was seen last, without reading it again."""
        self.make().start()
        await self.api.until(lambda: self.count("PUT") >= 1)
        self.wall += 15
        puts = self.count("PUT")
        await self.api.until(lambda: self.count("PUT") >= puts + 3)
        renewed = datetime.fromisoformat(self.api.leases[MINE]["spec"]["renewTime"])
        self.assertAlmostEqual(renewed.timestamp(), NOW + 15, places=3)
        self.assertEqual(self.times("GET").count(f"kube-system/leases/{MINE}"), 1)
        self.assertEqual(self.log.about("published"), 1)

    async def test_taken_over(self) -> None:
        """A lease of this name that is there already is taken over, with what others wrote."""
        old = self.api.put(MINE, spec(NOW - 500), {"old": "label"})
        old["metadata"]["annotations"] = {"note": "stays"}
        self.make().start()
        await self.api.until(lambda: self.count("PUT") >= 1)
        metadata = self.api.leases[MINE]["metadata"]
        self.assertEqual(metadata["labels"], {"k8s-app": "konnectivity-server"})
        self.assertEqual(metadata["annotations"], {"note": "stays"})
        self.assertEqual(self.count("POST"), 0)

    async def test_conflicts(self) -> None:
        """Who writes the lease besides makes it be read again; who deletes it, be made again."""
        self.make().start()
        await self.api.until(lambda: self.count("PUT") >= 1)
        self.api.put(MINE, spec(NOW))
        reads = self.times("GET").count(f"kube-system/leases/{MINE}")
        await self.api.until(lambda: self.times("GET").count(f"kube-system/leases/{MINE}") > reads)
        puts = self.count("PUT")
        await self.api.until(lambda: self.count("PUT") >= puts + 2)
        self.api.remove(MINE)
        await self.api.until(lambda: MINE in self.api.leases)
        self.assertEqual(self.log.lines[1:], [])

    async def test_created_by_another(self) -> None:
        """Two that make it at once: the second finds it and renews it."""
        self.api.faults.append(("POST", Fault(409, reason="AlreadyExists")))
        self.make().start()
        await self.api.until(lambda: MINE in self.api.leases)
        self.assertEqual(self.count("POST"), 2)

    async def test_trouble(self) -> None:
        """Errors are logged once and tried again, for as long as they last."""
        self.api.always["POST"] = Fault(500)
        self.make().start()
        await self.api.until(lambda: self.count("POST") >= 4)
        self.assertEqual(self.log.about("is not renewed: the API server answered 500: injected"), 1)
        self.api.always["POST"] = Fault(drop=True)
        await self.until(lambda: self.log.about("is not renewed: no answer"))
        del self.api.always["POST"]
        await self.api.until(lambda: MINE in self.api.leases)
        await self.until(lambda: self.log.about("published"))

    async def test_nonsense(self) -> None:
        """An answer that cannot be read is trouble like any other."""
        for body in (b"", b"<html>", b"[]", b'{"metadata": 7}'):
            self.api.faults.append(("GET", Fault(body=body)))
            self.api.faults.append(("POST", Fault(body=body)))
        self.make().start()
        await self.api.until(lambda: self.count("PUT") >= 2)

    async def test_slow(self) -> None:
        """A server that says nothing is given up, and asked again."""
        self.patch(lease_calls, "TIMEOUT", (0.2, 0.1))
        self.api.faults.append(("POST", Fault(silent=True)))
        self.make().start()
        await self.api.until(lambda: MINE in self.api.leases)
        self.assertEqual(self.log.about("no answer from the API server in time"), 1)

    async def test_stopped(self) -> None:
        """A stop deletes the lease, behind whatever renewal was under way; nothing is renewed
        after."""
        made = self.make()
        made.start()
        await self.api.until(lambda: self.count("PUT") >= 1)
        await made.stop()
        self.assertEqual(self.api.leases, {})
        asked = [entry for entry in self.api.requests if entry[1].endswith(MINE)]
        self.assertEqual(asked[-1][0], "DELETE")

    async def test_stopped_while_renewing(self) -> None:
        """A renewal that is under way when the proxy stops does not outlive it."""
        made = self.make()
        made.start()
        await self.api.until(lambda: self.count("PUT") >= 1)
        self.api.always["PUT"] = Fault(silent=True)
        await self.api.until(lambda: len(self.api.held) == 1)
        self.patch(presence, "STOP_WITHIN", 0.2)
        self.patch(calls, "STOP_WITHIN", 0.05)
        await made.stop()
        self.assertEqual(self.log.about("could not be deleted (no answer in time)"), 1)
        self.api.close()

    async def test_stopped_before_it_began(self) -> None:
        """A proxy that never published has nothing to delete."""
        await self.make().stop()
        self.assertEqual(self.api.requests, [])

    async def test_stopped_in_trouble(self) -> None:
        """A lease that was made is deleted, also if the last that was heard of it was trouble."""
        made = self.make()
        made.start()
        await self.api.until(lambda: self.count("PUT") >= 1)
        self.api.always["GET"] = Fault(500)
        self.api.put(MINE, spec(NOW))
        await self.until(lambda: self.log.about("is not renewed: the API server answered 500"))
        await made.stop()
        self.assertEqual(self.api.leases, {})

    async def test_stopped_when_the_answer_was_lost(self) -> None:
        """A lease whose making was not answered may be there, and is deleted."""
        self.patch(presence, "FIRST_PAUSE", 60.0)
        self.api.faults.append(("POST", Fault(drop=True)))
        made = self.make()
        made.start()
        await self.until(lambda: self.log.about("is not renewed: no answer"))
        await made.stop()
        self.assertEqual(self.times("DELETE"), [f"kube-system/leases/{MINE}"])

    async def test_not_deleted(self) -> None:
        """A lease that cannot be deleted is left to expire, and the log says so."""
        made = self.make()
        made.start()
        await self.api.until(lambda: self.count("PUT") >= 1)
        self.api.always["DELETE"] = Fault(403)
        await made.stop()
        self.assertEqual(self.log.about("could not be deleted (the API server answered 403"), 1)

    async def test_deleted_by_another(self) -> None:
        """That somebody else has deleted it is all right."""
        made = self.make()
        made.start()
        await self.api.until(lambda: self.count("PUT") >= 1)
        self.api.always["DELETE"] = Fault(404)
        await made.stop()
        self.assertEqual(self.log.about("could not"), 0)


class CullTests(PresenceCase):
    """The leases of others."""

    async def test_expired(self) -> None:
        """Expired leases with the label are deleted; valid ones, and others', are left alone."""
        self.api.put("fresh", spec(NOW - 10))
        self.api.put("acquired", spec(NOW - 10, key="acquireTime"))
        self.api.put("old", spec(NOW - 31))
        self.api.put("never", {"leaseDurationSeconds": 30})
        self.api.put("no-duration", spec(NOW - 10, duration=None))
        self.api.put("odd", {"leaseDurationSeconds": "x", "renewTime": 7})
        self.api.put("other", spec(NOW - 500), {"k8s-app": "other"})
        self.make().start()
        await self.until(lambda: self.ledger.culled_leases == 4)
        await self.api.until(lambda: self.count("PUT") >= 2)
        self.assertEqual(set(self.api.leases), {"fresh", "acquired", "other", MINE})
        self.assertEqual(self.ledger.lease_calls.counts("delete"), {("200", ""): 4})
        self.assertIn(("200", ""), self.ledger.lease_calls.counts("list"))

    async def test_renewed_meanwhile(self) -> None:
        """A lease that its proxy renews at the last moment survives."""
        self.api.put("late", spec(NOW - 31))
        self.api.always["DELETE"] = Fault(409, reason="Conflict")
        self.make().start()
        await self.api.until(lambda: self.count("DELETE") >= 2)
        self.assertIn("late", self.api.leases)
        self.assertEqual(self.ledger.culled_leases, 0)
        self.assertIn(("409", "Conflict"), self.ledger.lease_calls.counts("delete"))
        self.assertEqual(self.log.about("expired leases"), 0)
        del self.api.always["DELETE"]
        await self.api.until(lambda: "late" not in self.api.leases)

    async def test_precondition(self) -> None:
        """The DELETE says which version it is about."""
        self.api.put("late", spec(NOW - 31))
        version = self.api.leases["late"]["metadata"]["resourceVersion"]
        seen: list[Object] = []
        self.api.deleting = seen.append
        self.make().start()
        await self.api.until(lambda: "late" not in self.api.leases)
        self.assertEqual(seen[0]["preconditions"], {"resourceVersion": version})

    async def test_trouble(self) -> None:
        """Trouble with others' leases does not touch the proxy's own."""
        self.api.faults += [("GET", Fault(404))]
        self.api.always["GET"] = Fault(403, reason="Forbidden")
        self.make().start()
        await self.api.until(lambda: self.times("GET").count("kube-system/leases") >= 3)
        self.assertEqual(
            self.log.about("expired leases are not deleted: the API server answered 403"), 1
        )
