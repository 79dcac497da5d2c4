"""Both programs with every address of theirs ::1, by upstream's flags, and foreign clients."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request

from twisted.trial.unittest import SkipTest

from tests.certificates import pki
from tests.interop.pairs import InteropTestCase, Proxy
from tests.interop.processes import _environment
from tests.interop.test_curl import GREETING, curl, through


class IPv6Tests(InteropTestCase):
    """Skipped on a machine without IPv6."""

    def setUp(self) -> None:
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            raise SkipTest("there is no IPv6 loopback") from None
        super().setUp()

    def linked(self, mode: str) -> Proxy:
        """A pair's proxy."""
        here = {f"{kind}_bind_address": "::1" for kind in ("server", "agent", "health", "admin")}
        proxy = self.proxy(mode, "mtls", healthy=False, **here)
        agent = self.agent(
            proxy.agent_port,
            healthy=False,
            proxy_server_host="::1",
            health_server_host="::1",
            admin_bind_address="::1",
        )
        agent.program.wait_for_line("linked to proxy", f"[::1]:{proxy.agent_port}")
        proxy.program.wait_for_line("at [::1]:", "is connected")
        for program, port in {
            proxy.program: proxy.health_port,
            agent.program: agent.health_port,
        }.items():
            program.wait_for_line(f"health port listens at [::1]:{port}")
            with urllib.request.urlopen(f"http://[::1]:{port}/readyz", timeout=5) as answer:
                self.assertEqual(answer.status, 200)
        return proxy

    def test_curl(self) -> None:
        """curl by CONNECT. It goes by the name, whose addresses it knows: curl 7.88 compares
        the certificate of a proxy at an IPv6 address with names alone."""
        flags = through(self.linked("http-connect"))
        done = curl(*flags, f"http://{self.destination['http']}/success")
        self.assertEqual((done.returncode, done.stdout), (0, GREETING), done.stderr)

    def test_test_client(self) -> None:
        """konnect's own client, by gRPC."""
        files = pki()
        command = [sys.executable, "-m", "konnect.app.cli", "test-client", "--proxy-host=::1"]
        command += [
            f"--proxy-port={self.linked('grpc').port}",
            f"--ca-cert={files.frontend_ca}",
            f"--client-cert={files.frontend_client_cert}",
            f"--client-key={files.frontend_client_key}",
            f"--request-port={self.destination.ports['http']}",
            "--request-path=success",
        ]
        done = subprocess.run(command, capture_output=True, timeout=60, env=_environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(GREETING, done.stdout)
