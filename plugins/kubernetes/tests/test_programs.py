"""konnect's proxy and agent with konnect-kubernetes: found by the flags, and working together."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TypeVar

from konnect.app.agent import agent_service
from konnect.app.agent_options import AgentOptions
from konnect.app.agent_service import AgentService
from konnect.app.extensions import CannotStart
from konnect.app.proxy import proxy_service
from konnect.app.proxy_options import ProxyOptions
from konnect.app.proxy_service import ProxyService
from tests.case import ApiCase
from tests.fault import Fault
from tests.programs import free_port, review

S = TypeVar("S", ProxyService, AgentService)


class ProgramTests(ApiCase):
    """Two proxies and an agent, in this process, with real sockets."""

    def setUp(self) -> None:
        super().setUp()
        self.api.judge = review
        self.folder = tempfile.mkdtemp(prefix="konnect-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.token = Path(self.folder, "token")
        self.ports: dict[str, int] = {}

    def proxy(self, name: str, *, leases: bool = True) -> ProxyService:
        """A proxy that asks for tokens, and perhaps publishes its lease."""
        port = self.ports[name] = free_port()
        options = ProxyOptions()
        options.parseOptions(
            [
                f"--frontend=connect=unix:{self.folder}/{name}.sock:lockfile=0",
                f"--agent-endpoint=tcp:{port}:interface=127.0.0.1",
                f"--health-port={free_port()}",
                f"--admin-port={free_port()}",
                f"--server-id={name}",
                f"--kubeconfig={self.kubeconfig}",
                "--kubeconfig-qps=-1",
                "--agent-namespace=kube-system",
                "--agent-service-account=konnectivity-agent",
                "--authentication-audience=system:konnectivity-server",
                f"--enable-lease-controller={str(leases).lower()}",
                "--shutdown-delay=0s",
            ]
        )
        return self.run_service(proxy_service(options.config, self.reactor))

    def agent(self, *flags: str) -> AgentService:
        """An agent that shows its token and counts leases."""
        options = AgentOptions()
        options.parseOptions(
            [
                # One of the proxies alone: of the other the agent knows by its lease.
                f"--agent-endpoint=tcp:127.0.0.1:{self.ports['p-1']}",
                f"--service-account-token-path={self.token}",
                f"--health-server-port={free_port()}",
                f"--admin-server-port={free_port()}",
                f"--kubeconfig={self.kubeconfig}",
                "--count-server-leases",
                "--sync-interval=20ms",
                "--sync-interval-cap=100ms",
                *flags,
            ]
        )
        return self.run_service(agent_service(options.config, self.reactor))

    def run_service(self, service: S) -> S:
        """Start it; it is stopped at the end, if it has not been by then."""
        service.privilegedStartService()
        service.startService()

        async def stop() -> None:
            if service.running:
                # Not in a hurry: that would not wait for the threads of the API's calls.
                await service.stopService()

        self.addCleanup(stop)
        return service

    async def test_together(self) -> None:
        """An agent is admitted once its token is good, counts the proxies by their leases, and
        learns of one that stops."""
        self.token.write_text("bad\n", encoding="ascii")
        first, second = self.proxy("p-1"), self.proxy("p-2")
        await self.api.until(lambda: len(self.api.leases) == 2)
        agent = self.agent()
        refused = first.ledger.agents_refused
        await self.until(lambda: refused.get("Unauthenticated", 0) >= 2)
        self.assertEqual(len(agent.connector.sessions) if agent.connector else 0, 0)

        self.token.write_text("good\n", encoding="ascii")
        await self.until(lambda: first.registry.ready)
        await self.until(lambda: agent.ledger.known_server_count == 2)
        self.assertEqual({asked["token"] for asked in self.api.reviewed}, {"bad", "good"})
        self.assertEqual(
            {audience for asked in self.api.reviewed for audience in asked["audiences"]},
            {"system:konnectivity-server"},
        )

        await second.stopService()
        self.assertEqual(list(self.api.leases), ["konnectivity-proxy-server-p-1"])
        await self.until(lambda: agent.ledger.known_server_count == 1)

    async def test_busy(self) -> None:
        """An agent notices nothing of an API server that wants to be asked again in a second."""
        self.token.write_text("good", encoding="ascii")
        self.api.faults.append(("POST", Fault(429, retry_after="1")))
        proxy = self.proxy("p-1", leases=False)
        agent = self.agent()
        await self.until(lambda: proxy.registry.ready)
        reviews = proxy.ledger.token_reviews
        self.assertEqual((reviews["put_off"], reviews["accepted"]), (1, 1))
        self.assertEqual(proxy.ledger.agents_refused, {})
        # Its own session begins with the proxy's answer, which may be on its way yet.
        await self.until(lambda: agent.connector is not None and len(agent.connector.sessions) == 1)

    async def test_unusable_kubeconfig(self) -> None:
        """A program whose kubeconfig is none does not start, and says which file."""
        path = Path(self.folder, "kubeconfig")
        path.write_text(json.dumps({"kind": "Config"}), encoding="ascii")
        self.kubeconfig = str(path)
        self.token.write_text("good", encoding="ascii")
        self.ports["p-1"] = free_port()
        for begin in (self.agent, lambda: self.proxy("p-1")):
            with self.assertRaises(CannotStart) as caught:
                begin()
            self.assertIn(f"kubeconfig {path}: Invalid kube-config file", str(caught.exception))
