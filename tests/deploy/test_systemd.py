"""The units of deploy/systemd, read as systemd reads them; test_activation starts them."""

from __future__ import annotations

import shutil
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from konnect.app.describe import describe_proxy
from tests.deploy.objects import DEPLOY
from tests.deploy.starting import agent_config, agent_ports, proxy_config, proxy_ports
from tests.deploy.test_rules import SHORT, WORDS

UNITS = DEPLOY / "systemd"


def unit(name: str) -> dict[str, dict[str, list[str]]]:
    """A unit file: section, setting, its values. Lines are joined, comments left out."""
    sections: dict[str, dict[str, list[str]]] = {}
    text = (UNITS / name).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return sections


def command(name: str) -> list[str]:
    """The words of a service's ExecStart, unescaped as systemd does."""
    (line,) = unit(name)["Service"]["ExecStart"]
    return [word.replace("\\\\", "\\") for word in line.split()]


class UnitTests(SynchronousTestCase):
    """Files alone."""

    def test_systemd_takes_them(self) -> None:
        """`systemd-analyze verify` has nothing to say but that the programs are elsewhere."""
        if shutil.which("systemd-analyze") is None:
            self.skipTest("no systemd-analyze on this machine")
        done = subprocess.run(
            ["systemd-analyze", "verify", *sorted(UNITS.glob("*.s*"))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        ours = [line for line in done.stdout.splitlines() if "konnect" in line]
        self.assertEqual([line for line in ours if "is not executable" not in line], [])

    def test_sockets_are_those_that_the_proxy_takes(self) -> None:
        """Each socket has a name, and the proxy listens on those names and nothing else of its
        own."""
        names = {
            unit(file.name)["Socket"]["FileDescriptorName"][0]: unit(file.name)
            for file in UNITS.glob("*.socket")
        }
        config = proxy_config(command("konnect-proxy.service")[4:])
        endpoints = describe_proxy(config)
        self.assertEqual(endpoints.frontends, (("grpc", "systemd:domain=UNIX:name=grpc"),))
        (agents,) = endpoints.agents
        self.assertIn("mtls:on=systemd\\:domain=INET6\\:name=agents:", agents)
        self.assertEqual(set(names), {"grpc", "agents"})
        for settings in names.values():
            self.assertEqual(settings["Socket"]["Service"], ["konnect-proxy.service"])

    def test_agent(self) -> None:
        """The agent takes its arguments."""
        words = command("konnect-agent.service")
        self.assertEqual(words[3], "konnect-agent")
        self.assertIn("--proxy-server-host=${PROXY_HOST}", words)
        self.assertEqual(agent_config(words[4:]).proxy_server_port, 8091)

    def test_ports(self) -> None:
        """A proxy and an agent can run on one machine."""
        proxy = proxy_config(command("konnect-proxy.service")[4:])
        agent = agent_config(command("konnect-agent.service")[4:])
        self.assertEqual(proxy_ports(proxy) & agent_ports(agent), set())

    def test_stop(self) -> None:
        """What is open has a short time where new clients wait meanwhile, and systemd has patience
        for that and the last words."""
        proxy = proxy_config(command("konnect-proxy.service")[4:])
        agent = agent_config(command("konnect-agent.service")[4:])
        self.assertEqual(proxy.shutdown_delay, 0)
        self.assertTrue(0 < proxy.graceful_shutdown_timeout <= SHORT)
        for name, seconds in (
            ("proxy", proxy.graceful_shutdown_timeout),
            ("agent", agent.drain_timeout),
        ):
            (patience,) = unit(f"konnect-{name}.service")["Service"]["TimeoutStopSec"]
            self.assertGreaterEqual(int(patience), seconds + WORDS[name])
