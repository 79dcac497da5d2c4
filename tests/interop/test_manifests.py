"""Production manifests' argument lists with the real programs, and where those write their logs."""

from __future__ import annotations

from tests.app.manifests import AGENTS, PROXIES, with_files
from tests.certificates import pki
from tests.interop import processes
from tests.interop.pairs import InteropTestCase
from tests.interop.processes import Program
from tests.ports import free_port


class ManifestTests(InteropTestCase):
    """Programs started as in production, but for their files and ports."""

    def start(self, command: list[str], name: str, words: list[str], **last: object) -> Program:
        """Start a program; `last` are flags that come after the list's own, and so before them."""
        later = [f"--{flag.replace('_', '-')}={value}" for flag, value in last.items()]
        program = Program(name, [*command, *words, *later], self.directory())
        self.addCleanup(self._finish, program)
        return program

    def test_hypershift(self) -> None:
        """HyperShift's proxy and agent find each other, and both end with 0 when asked to."""
        files = pki()
        agent_port, proxy_health, agent_health = free_port(), free_port(), free_port()
        proxy = self.start(
            processes.PROXY,
            "proxy",
            with_files(
                PROXIES["HyperShift"],
                {
                    "server-ca-cert": files.frontend_ca,
                    "server-cert": files.frontend_cert,
                    "server-key": files.frontend_key,
                    "cluster-ca-cert": files.agent_ca,
                    "cluster-cert": files.agent_server_cert,
                    "cluster-key": files.agent_server_key,
                },
            ),
            server_port=free_port(),
            agent_port=agent_port,
            health_port=proxy_health,
            admin_port=free_port(),
        )
        proxy.wait_ready(proxy_health, "/healthz")
        agent = self.start(
            processes.AGENT,
            "agent",
            with_files(
                AGENTS["HyperShift"],
                {
                    "ca-cert": files.agent_ca,
                    "agent-cert": files.agent_cert,
                    "agent-key": files.agent_key,
                },
            ),
            proxy_server_host="127.0.0.1",
            proxy_server_port=agent_port,
            health_server_port=agent_health,
            admin_server_port=free_port(),
        )
        agent.wait_ready(agent_health, "/readyz")
        proxy.wait_ready(proxy_health, "/readyz")
        proxy.wait_for_line("--proxy-strategies=destHost,defaultRoute")
        self.assertEqual((agent.end(), proxy.end()), (0, 0))

    def test_log_file(self) -> None:
        """With --logtostderr=false the log is in the file, and stderr has what is an error."""
        health = free_port()
        directory = self.directory()
        proxy = self.start(
            processes.PROXY,
            "proxy",
            with_files(
                PROXIES["README, gRPC over a unix socket"],
                {
                    "cluster-ca-cert": pki().agent_ca,
                    "cluster-cert": pki().agent_server_cert,
                    "cluster-key": pki().agent_server_key,
                    "uds-name": str(directory / "frontend.sock"),
                },
            ),
            agent_port=free_port(),
            health_port=health,
            admin_port=free_port(),
            admin_bind_address="192.0.2.1",
            log_file=directory / "proxy.log",
            logtostderr="false",
        )
        proxy.wait_ready(health, "/healthz")
        self.assertEqual(proxy.end(), 0)
        written = (directory / "proxy.log").read_text()
        self.assertIn("konnect.app.listening#info] grpc frontend listens at", written)
        self.assertIn("Server Shut Down", written)
        (line,) = proxy.log().splitlines()
        self.assertIn("cannot listen: admin port", line)
        self.assertIn(line, written)

    def test_strict(self) -> None:
        """What the examples leave open is refused with --strict, and the program ends with 1."""
        files = pki()
        words = with_files(
            PROXIES["README, gRPC over a unix socket"],
            {"cluster-cert": files.agent_server_cert, "cluster-key": files.agent_server_key},
        )
        words = [word for word in words if not word.startswith("--cluster-ca-cert")]
        proxy = self.start(processes.PROXY, "proxy", words, agent_port=free_port(), strict="true")
        self.assertEqual(proxy.wait_exit(20), 1)
        self.assertIn("--strict refuses what is open:", proxy.log())
        self.assertIn("--cluster-ca-cert", proxy.log())
