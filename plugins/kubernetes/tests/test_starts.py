"""Programs, as processes, that are told to stop while their kubeconfig's command runs."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

from tests.case import ApiCase
from tests.programs import Program, free_port


class StartTests(ApiCase):
    """A command that does not answer."""

    timeout = 100

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(tempfile.mkdtemp(prefix="konnect-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.command = self.folder / "command"
        self.command.write_text(
            f"#!/bin/sh\nsleep 600 & echo $! >{self.folder}/pids\n"
            f"echo $$ >>{self.folder}/pids; touch {self.folder}/runs; sleep 600\n"
        )
        os.chmod(self.command, 0o755)
        user = f"exec: {{apiVersion: client.authentication.k8s.io/v1, command: {self.command}}}"
        path = Path(self.kubeconfig)
        path.write_text(path.read_text().replace("token: proxy-token", user))

    def start(self, name: str, flags: dict[str, str]) -> Program:
        """One of the programs."""
        program = Program(self.reactor, name, {"kubeconfig": self.kubeconfig, **flags})
        self.addCleanup(program.end)
        return program

    async def stopped(self, program: Program, number: signal.Signals) -> None:
        """It ends in order, and nothing of the command is left."""
        await self.until((self.folder / "runs").exists)
        program.send(number)
        self.assertEqual(await program.has_ended(), 0, program.log)
        self.assertIn(f"{number.name}: stopping before the start was over", program.log)
        self.assertIn(f"{self.command} was killed: the program is stopping", program.log)
        numbers = (self.folder / "pids").read_text().split()
        await self.until(lambda: not any(_lives(number) for number in numbers))

    async def test_proxy(self) -> None:
        """A proxy that reviews tokens."""
        flags = {
            "frontend": f"connect=unix:{self.folder}/connect.sock:lockfile=0",
            "agent-endpoint": f"tcp:{free_port()}:interface=127.0.0.1",
            "health-port": str(free_port()),
            "admin-port": str(free_port()),
            "agent-namespace": "kube-system",
            "agent-service-account": "konnectivity-agent",
            "authentication-audience": "system:konnectivity-server",
        }
        await self.stopped(self.start("proxy", flags), signal.SIGTERM)

    async def test_agent(self) -> None:
        """An agent that counts leases."""
        flags = {
            "agent-endpoint": "tcp:127.0.0.1:1",
            "health-server-port": str(free_port()),
            "admin-server-port": str(free_port()),
            "count-server-leases": "true",
        }
        await self.stopped(self.start("agent", flags), signal.SIGINT)


def _lives(number: str) -> bool:
    """Whether this process runs (a dead one may wait for the machine's first process to notice)."""
    try:
        return "State:\tZ" not in Path("/proc", number, "status").read_text()
    except OSError:
        return False
