"""Tests of konnect.app.agent_leases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from konnect.app import agent_leases
from konnect.app.agent_leases import AgentLeases
from konnect.app.agent_options import AgentConfig
from konnect.app.extensions import CannotStart
from konnect.extension.leases import IProxyCount, LeaseSettings
from konnect.tunnel.ledger import Ledger

SETTINGS = LeaseSettings(namespace="n", labels="a=b")


@implementer(IProxyCount)
class FakeCount:
    """Counts what the test says."""

    count = 1

    def __init__(self) -> None:
        self.changed: Callable[[], object] | None = None
        self.stopped = False

    def start(self, changed: Callable[[], object]) -> None:
        self.changed = changed

    def stop(self) -> Deferred[None]:
        self.stopped = True
        return succeed(None)


class AgentLeasesTests(SynchronousTestCase):
    """From flags to a count."""

    def setUp(self) -> None:
        self.ledger = Ledger(Clock().seconds, agent=True)
        self.fake = FakeCount()
        self.asked: list[Any] = []
        self.problem = ""
        self.patch(agent_leases, "kubernetes_plugin", self.plugin)

    def plugin(self, interface: Any, flag: str) -> AgentLeasesTests:
        """What is installed: this test."""
        self.asked.append(flag)
        return self

    def count(self, reactor: Any, settings: LeaseSettings, ledger: Ledger) -> FakeCount:
        """See ILeases."""
        if self.problem:
            raise ValueError(self.problem)
        self.asked += [settings, ledger]
        return self.fake

    def leases(self, **flags: Any) -> AgentLeases:
        """The count of an agent with these flags."""
        return AgentLeases(AgentConfig(**flags), self.ledger, Clock())

    def test_not_asked_for(self) -> None:
        """Without --count-server-leases the plugin is not looked for, and proxies are believed."""
        leases = self.leases(server_count_source="max")
        leases.counts.told(3, "p")
        leases.start(self.fail)
        self.successResultOf(Deferred.fromCoroutine(leases.stop()))
        self.assertEqual((leases.counts.value, self.asked), (3, []))

    def test_counted(self) -> None:
        """What the plugin counts is the number of proxies, and changes are passed on."""
        leases = self.leases(leases=SETTINGS)
        self.assertEqual(self.asked, ["--count-server-leases", SETTINGS, self.ledger])
        changes: list[int] = []
        leases.counts.told(7, "p")
        leases.start(lambda: changes.append(leases.counts.value))
        self.fake.count = 3
        assert self.fake.changed is not None
        self.fake.changed()
        self.assertEqual(changes, [3])
        self.successResultOf(Deferred.fromCoroutine(leases.stop()))
        self.assertTrue(self.fake.stopped)

    def test_the_larger(self) -> None:
        """With --server-count-source=max the larger count is taken."""
        leases = self.leases(leases=SETTINGS, server_count_source="max")
        leases.counts.told(7, "p")
        self.assertEqual(leases.counts.value, 7)
        self.fake.count = 8
        self.assertEqual(leases.counts.value, 8)

    def test_unusable(self) -> None:
        """Settings that the plugin cannot use end the start, in its words."""
        self.problem = "the selector is none"
        error = self.assertRaises(CannotStart, self.leases, leases=SETTINGS)
        self.assertEqual(str(error), "no leases can be counted: the selector is none")
