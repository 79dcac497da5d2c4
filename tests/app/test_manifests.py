"""Production manifests' argument lists through both programs' options."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from konnect.app.agent_options import AgentConfig, AgentOptions
from konnect.app.describe import describe_agent, describe_proxy
from konnect.app.flags import FlagOptions
from konnect.app.proxy_options import ProxyConfig, ProxyOptions
from konnect.app.test_client import TestClientOptions
from tests.app.manifests import AGENTS, CLIENTS, PROXIES, with_files

FILES = (
    *("server-cert", "server-key", "server-ca-cert", "cluster-cert", "cluster-key"),
    *("cluster-ca-cert", "ca-cert", "agent-cert", "agent-key"),
    *("kubeconfig", "service-account-token-path", "client-cert", "client-key"),
)


class ManifestCase(SynchronousTestCase):
    """One file that stands for all that exist."""

    def setUp(self) -> None:
        """Make the file."""
        file = Path(self.mktemp())
        file.write_text("not looked at\n", encoding="ascii")
        self.files = dict.fromkeys(FILES, str(file))

    def parse(self, options: FlagOptions, words: Sequence[str]) -> Any:
        """The config."""
        self.read(options, words)
        return options.config  # type: ignore[attr-defined]

    def read(self, options: FlagOptions, words: Sequence[str]) -> None:
        """Let options read a list, without a warning."""
        warned = io.StringIO()
        with contextlib.redirect_stderr(warned):
            options.parseOptions(with_files(words, self.files))
        self.assertEqual(warned.getvalue(), "")

    def proxy(self, name: str) -> ProxyConfig:
        """The config of one of the proxies' lists."""
        return self.parse(ProxyOptions({}), PROXIES[name])  # type: ignore[no-any-return]

    def agent(self, name: str) -> AgentConfig:
        """The config of one of the agents' lists."""
        return self.parse(AgentOptions({}), AGENTS[name])  # type: ignore[no-any-return]


class ManifestTests(ManifestCase):
    """Every list is accepted, and means what it meant."""

    def test_proxies(self) -> None:
        """Every proxy's list is accepted without a warning and asks for two listeners."""
        for name in PROXIES:
            config = self.proxy(name)
            endpoints = describe_proxy(config)
            self.assertEqual((len(endpoints.frontends), len(endpoints.agents)), (1, 1), name)

    def test_agents(self) -> None:
        """Every agent's list is accepted without a warning and leads to one proxy."""
        for name in AGENTS:
            config = self.agent(name)
            self.assertEqual(len(describe_agent(config).proxies), 1, name)

    def test_clients(self) -> None:
        """Every test client's list is accepted without a warning."""
        for name, words in CLIENTS.items():
            options = TestClientOptions({})
            self.read(options, words)
            self.assertEqual(options["proxy-uds"] != "", "--proxy-host=" in words, name)

    def test_a_flag_twice(self) -> None:
        """Where a list has a flag twice, the last one counts."""
        for name in ("end-to-end tests, leases", "end-to-end tests, a number"):
            self.assertEqual(self.proxy(name).mode, "http-connect")

    def test_empty_addresses(self) -> None:
        """An admin port with an empty address is everybody's, on both halves."""
        for name in ("end-to-end tests, leases", "end-to-end tests, a number"):
            self.assertNotIn("127.0.0.1", describe_proxy(self.proxy(name)).admin)
            self.assertNotIn("127.0.0.1", describe_agent(self.agent(name)).admin)

    def test_counting(self) -> None:
        """Agents that go on looking for proxies do, by leases or by what the proxies say."""
        for name, leases in (
            ("examples/kind-multinode", True),
            ("end-to-end tests, leases", True),
            ("end-to-end tests, a number", False),
            ("HyperShift", False),
            ("AKS", False),
        ):
            config = self.agent(name)
            self.assertTrue(config.sync_forever, name)
            self.assertEqual(config.leases is not None, leases, name)
        self.assertEqual(self.proxy("end-to-end tests, a number").server_count, 2)

    def test_hypershift(self) -> None:
        """Values in words of their own reach the config."""
        config = self.proxy("HyperShift")
        self.assertEqual(config.strategies, ("destHost", "defaultRoute"))
        self.assertEqual((config.health_port, config.server_count), (2041, 3))
        self.assertEqual((config.keepalive_time, config.frontend_keepalive_time), (30.0, 30.0))
        self.assertEqual(len(config.cipher_suites), 3)
        agent = self.agent("HyperShift")
        self.assertEqual((agent.health_server_host, agent.health_server_port), ("127.0.0.1", 2041))
        self.assertEqual((agent.probe_interval, agent.sync_interval_cap), (5.0, 30.0))
        self.assertEqual(agent.agent_identifiers, "default-route=true")

    def test_log_files(self) -> None:
        """Of the two examples with a log file, one has it written."""
        for name, written in (("examples/kind", False), ("examples/kubernetes, static pod", True)):
            config = self.proxy(name)
            self.assertEqual(config.log.to_files, written, name)

    def test_alpn(self) -> None:
        """The name a load balancer chooses by is offered before h2."""
        config = self.agent("AKS")
        self.assertIn("alpn=konnectivity,h2", describe_agent(config).proxies[0])

    def test_replacement(self) -> None:
        """Files are replaced in both forms of a flag, and nothing else is."""
        words = ("--ca-cert", "/a", "--agent-key=/b", "--agent-id", "/c", "--sync-forever")
        self.assertEqual(
            with_files(words, {"ca-cert": "A", "agent-key": "B"}),
            ["--ca-cert", "A", "--agent-key=B", "--agent-id", "/c", "--sync-forever"],
        )
