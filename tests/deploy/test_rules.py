"""What holds for all that deploy/ starts, however it is started."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from konnect.app.agent_options import AgentConfig
from konnect.app.proxy_options import ProxyConfig
from tests.deploy import sets
from tests.deploy.chart import render
from tests.deploy.objects import Object, of_kind, pods
from tests.deploy.starting import agent_config, agent_ports, one_socket, proxy_config, proxy_ports

SHORT, LONG = 5, 10
"""Seconds: the most that tunnels may go on where nobody takes over meanwhile, and the least where
somebody does."""

WORDS = {"proxy": 10, "agent": 3}
"""Seconds that a supervisor has to leave over, as docs/operations.md has it."""


class Set:
    """The one proxy and the one agent of a set of objects: pod specs and configs."""

    def __init__(self, items: list[Object]) -> None:
        started = {spec["containers"][0]["command"][0]: spec for _, spec in pods(items)}
        self.proxy_pod, self.agent_pod = started["/proxy-server"], started["/proxy-agent"]
        self.proxy: ProxyConfig = proxy_config(self.proxy_pod["containers"][0]["args"])
        self.agent: AgentConfig = agent_config(self.agent_pod["containers"][0]["args"])


def declared(pod: Object) -> set[int]:
    """The ports that a pod says it has; the same on the node as in the pod."""
    ports = pod["containers"][0]["ports"]
    hosts = {port.get("hostPort", port["containerPort"]) for port in ports}
    numbers = {port["containerPort"] for port in ports}
    assert hosts == numbers, "a port of the node is another one of the pod"
    return numbers


class RuleCase(SynchronousTestCase):
    """The rules."""

    def check(self, items: list[Object]) -> Set:
        """A set keeps them all."""
        found = Set(items)
        self.check_stop(found)
        self.check_service(found, of_kind(items, "Service"))
        self.check_ports(found)
        return found

    def check_ports(self, found: Set) -> None:
        """A proxy and an agent can share a node's network, now or when somebody lets the agent have
        it; and pods declare the ports that there are."""
        proxy, agent = proxy_ports(found.proxy), agent_ports(found.agent)
        self.assertEqual(proxy & agent, set())
        self.assertEqual(declared(found.proxy_pod), proxy)
        self.assertEqual(declared(found.agent_pod), {found.agent.health_server_port})

    def check_service(self, found: Set, services: list[Object]) -> None:
        """Where the proxies have a Service, it leads agents to them, and clients too that come by a
        port."""
        wanted = {found.proxy.agent_port, found.proxy.server_port} - {0}
        for service in services:
            if service["metadata"]["name"] != "konnectivity-server":
                continue
            ports = service["spec"]["ports"]
            self.assertEqual({port["port"] for port in ports}, wanted)
            self.assertEqual({port["targetPort"] for port in ports}, wanted)

    def check_stop(self, found: Set) -> None:
        """Tunnels go on for a short time where new clients find nobody meanwhile, and for a long
        one where a balancer sends those elsewhere; pods live as long as that takes."""
        proxy = found.proxy
        if one_socket(proxy):
            self.assertEqual(proxy.shutdown_delay, 0)
            self.assertTrue(0 < proxy.graceful_shutdown_timeout <= SHORT)
        else:
            self.assertGreater(proxy.shutdown_delay, 0)
            self.assertGreaterEqual(proxy.graceful_shutdown_timeout, LONG)
        for pod, seconds in (
            (found.proxy_pod, proxy.graceful_shutdown_timeout + WORDS["proxy"]),
            (found.agent_pod, found.agent.drain_timeout + WORDS["agent"]),
        ):
            self.assertGreaterEqual(pod["terminationGracePeriodSeconds"], seconds)
            self.assertLess(pod["terminationGracePeriodSeconds"], seconds + 10)


class SetTests(RuleCase):
    """All sets."""

    def test_kind(self) -> None:
        """One control plane of kind."""
        self.assertTrue(one_socket(self.check(sets.kind()).proxy))

    def test_quickstart(self) -> None:
        """Several control planes, each with a socket of its own."""
        for flags in ((), ("--server-count-override=3",)):
            folder = Path(tempfile.mkdtemp(prefix="konnect-test-"))
            self.addCleanup(shutil.rmtree, folder)
            self.assertTrue(one_socket(self.check(sets.quickstart(folder, *flags)).proxy))

    def test_static_pods(self) -> None:
        """Static pods."""
        self.assertTrue(one_socket(self.check(sets.static_pods()).proxy))

    def test_chart(self) -> None:
        """The chart, on sockets and on ports."""
        self.assertTrue(one_socket(self.check(render()).proxy))
        self.assertFalse(one_socket(self.check(render(sets.ON_PORTS)).proxy))
