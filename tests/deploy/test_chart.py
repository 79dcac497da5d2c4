"""The Helm chart, rendered in several ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import konnect
from tests.deploy.chart import NAMESPACE, Refused, meta, render, renderer
from tests.deploy.objects import Object, check, complaints, of_kind, pods
from tests.deploy.sets import ON_PORTS
from tests.deploy.starting import agent_config, proxy_config


class ChartTests(SynchronousTestCase):
    """What comes of values."""

    def rendered(self, values: Mapping[str, Any] | None = None) -> list[Object]:
        """Valid objects that fit together."""
        items = render(values)
        for item in items:
            check(item)
        self.assertEqual(complaints(items), [])
        return items

    def pod(self, items: list[Object], component: str) -> tuple[Object, list[str]]:
        """The pod of a component and its arguments."""
        (spec,) = [spec for name, spec in pods(items) if name == component]
        return spec, spec["containers"][0]["args"]

    def test_defaults(self) -> None:
        """As it is, the chart is what deploy/kind-multinode makes: sockets, tokens, leases."""
        items = self.rendered()
        server, server_arguments = self.pod(items, "konnectivity-server")
        _, agent_arguments = self.pod(items, "konnectivity-agent")
        proxy_config(server_arguments)
        agent_config(agent_arguments)
        image = f"konnect/proxy-server:{meta()['appVersion']}"
        self.assertEqual(server["containers"][0]["image"], image)
        self.assertIn(
            f"--proxy-server-host=konnectivity-server.{NAMESPACE}.svc.cluster.local",
            agent_arguments,
        )
        self.assertEqual(len(of_kind(items, "DaemonSet")), 2)
        self.assertEqual(of_kind(items, "PodDisruptionBudget"), [])
        roles = {
            role["metadata"]["name"]: role["rules"][0]["verbs"] for role in of_kind(items, "Role")
        }
        self.assertEqual(
            roles,
            {
                "konnectivity-server-leases": ["get", "create", "update", "list", "delete"],
                "konnectivity-agent-leases": ["get", "list", "watch"],
            },
        )

    def test_certificates_instead_of_tokens(self) -> None:
        """Deployments with Secrets: mutual TLS on both sides, nothing of a node, no root."""
        items = self.rendered(ON_PORTS)
        server, arguments = self.pod(items, "konnectivity-server")
        config = proxy_config(arguments)
        self.assertEqual((config.mode, config.server_port), ("http-connect", 8090))
        self.assertEqual((config.server_count, config.buffer_limit), (3, 1_000_000))
        self.assertEqual(config.uds_name, "")
        self.assertIn("--cluster-ca-cert=/etc/konnect/cluster/ca.crt", arguments)
        self.assertFalse([volume for volume in server["volumes"] if "hostPath" in volume])
        self.assertTrue(server["containers"][0]["securityContext"]["runAsNonRoot"])
        agent = agent_config(self.pod(items, "konnectivity-agent")[1])
        self.assertNotEqual(agent.agent_cert, "")
        self.assertIn("--proxy-server-host=proxy.example", self.pod(items, "konnectivity-agent")[1])
        self.assertEqual(of_kind(items, "Role") + of_kind(items, "ClusterRoleBinding"), [])
        self.assertEqual(len(of_kind(items, "PodDisruptionBudget")), 2)
        self.assertEqual([one["spec"]["replicas"] for one in of_kind(items, "Deployment")], [2, 3])

    def test_certificates_beside_tokens(self) -> None:
        """Where proxies demand certificates of agents that have tokens, agents show both; where
        they do not, a Secret with nothing but the authority is enough."""
        for demanded in (True, False):
            values = {
                "server": {"certSecret": "cluster", "clusterCA": demanded},
                "agent": {"certSecret": "agent"},
            }
            items = self.rendered(values)
            proxy = proxy_config(self.pod(items, "konnectivity-server")[1])
            agent = agent_config(self.pod(items, "konnectivity-agent")[1])
            self.assertEqual(proxy.cluster_ca_cert != "", demanded)
            self.assertEqual(agent.agent_cert != "", demanded)
            self.assertNotEqual(agent.service_account_token_path, "")

    def test_evictions(self) -> None:
        """Budgets are for Deployments: over a DaemonSet's pods one would forbid every eviction."""
        for kind, budgets in (("Deployment", 2), ("DaemonSet", 0)):
            half = {"kind": kind, "podDisruptionBudget": {"enabled": True}}
            items = self.rendered({"server": half, "agent": half})
            self.assertEqual(len(of_kind(items, "PodDisruptionBudget")), budgets)

    def test_stopping(self) -> None:
        """A proxy's tunnels get the time that the values say, and its pod some seconds more."""
        for values, seconds, pod in (
            ({}, 3, 18),
            ({"gracefulShutdownSeconds": 300}, 300, 315),
            ({"gracefulShutdownSeconds": 0}, 0, 15),
            ({"socketFolder": "", "frontendSecret": "frontend"}, 20, 35),
        ):
            items = self.rendered({"server": values})
            spec, arguments = self.pod(items, "konnectivity-server")
            self.assertEqual(spec["terminationGracePeriodSeconds"], pod)
            self.assertEqual(proxy_config(arguments).graceful_shutdown_timeout, seconds)

    def test_one_half(self) -> None:
        """Each half can be left out: the other may run elsewhere."""
        values = {"leases": False, "tokenAudience": "", "server": {"enabled": False}}
        kinds = {item["kind"] for item in self.rendered(values)}
        self.assertEqual(kinds, {"ServiceAccount", "DaemonSet"})
        values = {"leases": False, "agent": {"enabled": False}}
        kinds = {item["kind"] for item in self.rendered(values)}
        self.assertEqual(kinds, {"ServiceAccount", "Service", "DaemonSet", "ClusterRoleBinding"})

    def test_missing_secret(self) -> None:
        """A frontend on a port without a Secret is refused by name."""
        renderer()  # assertRaises would take a skip for a failure
        error = self.assertRaises(Refused, render, {"server": {"socketFolder": ""}})
        self.assertIn("server.frontendSecret is needed", str(error))

    def test_version(self) -> None:
        """The chart is of the same version as the programs."""
        self.assertEqual(meta()["appVersion"], konnect.__version__)
        self.assertEqual(meta()["version"], konnect.__version__.replace("rc", "-rc"))
