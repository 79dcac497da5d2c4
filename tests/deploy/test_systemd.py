"""The units of deploy/systemd: read as systemd reads them, and started as it starts them."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from konnect.app.describe import describe_proxy
from tests.certificates import pki
from tests.deploy.objects import DEPLOY
from tests.deploy.starting import agent_config, agent_ports, proxy_config, proxy_ports
from tests.deploy.test_rules import SHORT, WORDS
from tests.interop.pairs import InteropTestCase
from tests.interop.processes import RUN_TWISTD, Program
from tests.ports import free_port

UNITS = DEPLOY / "systemd"

ACTIVATE = f"""
import fcntl, os, sys
high = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for wanted, number in enumerate(high, 3):
    os.dup2(number, wanted)
    os.close(number)
os.environ |= dict(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="grpc:agents")
del sys.argv[1:3]
{RUN_TWISTD}
"""
"""As systemd: descriptors from 3 on, named in their order, for this process only."""


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


class ActivationTests(InteropTestCase):
    """A proxy started with sockets that somebody else holds, on both transports."""

    def test_proxy(self) -> None:
        """The unit's own command line serves agents with TLS and clients on the given sockets."""
        for transport in ("stock", "hub"):
            folder = self.directory()
            proxy, port = self.activated(folder, transport)
            agent = self.agent(port, healthy=False)
            proxy.wait_for_line("agent listener listens at")
            agent.program.wait_ready(agent.health_port, "/readyz")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(folder / "grpc.sock"))

    def activated(self, folder: Path, transport: str) -> tuple[Program, int]:
        """The proxy, and the port that its agents' socket is bound to."""
        files = pki()
        grpc = socket.socket(socket.AF_UNIX)
        agents = socket.socket(socket.AF_INET6)
        self.addCleanup(grpc.close)
        self.addCleanup(agents.close)
        grpc.bind(str(folder / "grpc.sock"))
        agents.bind(("::", 0))
        for listener in (grpc, agents):
            listener.listen()
        places = {
            "/etc/konnect/agent/proxy.crt": files.agent_server_cert,
            "/etc/konnect/agent/proxy.key": files.agent_server_key,
            "/etc/konnect/agent/ca.crt": files.agent_ca,
        }
        words = command("konnect-proxy.service")[1:]
        for place, file in places.items():
            words = [word.replace(place, file) for word in words]
        words += [
            f"--health-port={free_port()}",
            f"--admin-port={free_port()}",
            f"--transport={transport}",
            "--graceful-shutdown-timeout=0s",
        ]
        program = Program(
            "proxy",
            [sys.executable, "-c", ACTIVATE, *map(str, (grpc.fileno(), agents.fileno())), *words],
            folder,
            pass_fds=(grpc.fileno(), agents.fileno()),
        )
        self.addCleanup(self._finish, program)
        return program, agents.getsockname()[1]
