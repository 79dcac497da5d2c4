"""What the two programs write to stderr about tunnels, as text and as JSON."""

from __future__ import annotations

import json
import os

from tests.interop.connecting import ConnectClient
from tests.interop.destination import BANNER
from tests.interop.pairs import InteropTestCase
from tests.interop.processes import Program, http_get
from tests.ports import free_port


class LogTests(InteropTestCase):
    """A proxy that logs JSON and an agent that logs text."""

    def _tunnels(self, log_tunnels: str) -> tuple[Program, Program]:
        """Both programs, after a tunnel and a failed dial."""
        proxy = self.proxy("http-connect", "uds", log_format="json", log_tunnels=log_tunnels)
        agent = self.agent(proxy.agent_port, log_tunnels=log_tunnels)
        proxy.wait_ready()
        client = ConnectClient(self, proxy, self.destination["banner"])
        self.assertEqual(client.response().status, 200)
        client.receive(len(BANNER))
        client.close()
        refused = ConnectClient(self, proxy, "127.0.0.1:9")
        self.assertEqual(refused.response().status, 502)
        return proxy.program, agent.program

    def test_tunnels(self) -> None:
        """Every line of the proxy is an object; both tell of the tunnel and of the failed dial."""
        proxy, agent = self._tunnels("true")
        proxy.wait_for_line('"dial failed"')
        proxy.wait_for_line('"tunnel ended"')
        lines = [json.loads(line) for line in proxy.log().splitlines()]
        told = {fields["message"]: fields for fields in lines if "destination" in fields}
        ended, failed = told["tunnel ended"], told["dial failed"]
        self.assertEqual(ended["destination"], self.destination["banner"])
        self.assertEqual((ended["client"], ended["frontend"]), ("unix socket", "connect"))
        self.assertEqual(ended["to_client_bytes"], len(BANNER))
        self.assertEqual((failed["destination"], failed["reason"]), ("127.0.0.1:9", "refused"))
        self.assertIn("connection refused", failed["error"])
        agent.wait_for_line("[konnect.tunnels#info] tunnel ended: proxy=", "reason=")
        agent.wait_for_line("[konnect.tunnels#info] dial failed: proxy=", "reason=refused")

    def test_off(self) -> None:
        """Without --log-tunnels there is no such line."""
        proxy, agent = self._tunnels("false")
        for program in (proxy, agent):
            program.end()
            self.assertNotIn("konnect.tunnels", program.log())

    def test_listeners(self) -> None:
        """On both transports each listener has one line, which is ours, and Twisted says nothing
        of its factories."""
        for transport in ("stock", "hub"):
            self.patch(os, "environ", {**os.environ, "KONNECT_TRANSPORT": transport})
            ports = [free_port() for _ in range(2)]
            proxy = self.proxy(
                frontend=f"connect=haproxy:tcp:{ports[0]}:interface=127.0.0.1",
                agent_endpoint=f"tcp:{ports[1]}:interface=127.0.0.1",
            )
            agent = self.agent(proxy.agent_port)
            self.assertEqual(http_get(proxy.health_port, "/readyz")[0], 200)
            for program, names in (
                (proxy.program, ("grpc frontend", "connect frontend", "health port")),
                (agent.program, ("health port", "admin port")),
            ):
                program.end()
                for name in names:
                    self.assertEqual(program.log().count(f"{name} listens at"), 1, name)
                self.assertNotRegex(program.log().lower(), "start(ing|ed)? (on|factory)")
                self.assertNotIn("Stopping factory", program.log())
