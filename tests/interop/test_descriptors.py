"""Two agents as processes, one of which has no file descriptor left."""

from __future__ import annotations

import os
import resource

from tests.interop import processes
from tests.interop.connecting import ConnectClient
from tests.interop.pairs import Agent, InteropTestCase, Proxy

DIALS = 16
"""Of each kind: with a random agent first, one in 2**16 runs would ask one agent only."""


def take_descriptors(agent: Agent) -> None:
    """From now on the process gets no further descriptor."""
    pid = agent.program.process.pid
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = next(number for number in range(len(taken) + 1) if number not in taken)
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, hard))


class DescriptorTests(InteropTestCase):
    """The kernel's limit at one agent is no client's trouble."""

    def _retried(self, proxy: Proxy) -> float:
        """How many dials went to a second agent for that."""
        sample = 'konnect_dials_retried_total{cause="too_many_files"} '
        lines = processes.http_get(proxy.health_port, "/metrics")[1].splitlines()
        return sum(float(line[len(sample) :]) for line in lines if line.startswith(sample))

    def test_the_other_agent_dials(self) -> None:
        """Dials of addresses and of names (whose lookup needs a descriptor too) succeed."""
        proxy = self.proxy("http-connect")
        poor = self.agent(proxy.agent_port)
        self.agent(proxy.agent_port)
        take_descriptors(poor)
        port = self.destination.ports["echo"]
        before = 0.0
        for host in ("127.0.0.1", "localhost"):
            for _ in range(DIALS):
                client = ConnectClient(self, proxy, f"{host}:{port}")
                self.assertEqual(client.response().status, 200)
                client.close()
            retried = self._retried(proxy)
            self.assertGreater(retried, before)
            before = retried
