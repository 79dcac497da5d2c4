"""Agents that need a certificate and a token, as processes: real TLS, a real TokenReview."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol

from konnect.app.authority import Authority
from konnect.app.certs import Tree, make_tree
from konnect.client.connect_dial import ConnectDialer
from konnect.client.endpoint import KonnectEndpoint
from tests.api_server import Object
from tests.programs import Program, free_port, review
from tests.tls_case import TlsCase, certificate_user

OTHERS = "system:serviceaccount:kube-system:default"


def judge(asked: Object) -> Object:
    """See `review`; besides, tokens of another account, and for another audience."""
    verdict = review({**asked, "token": asked["token"].removeprefix("account.")})
    if asked["token"].startswith("account."):
        verdict["user"] = {"username": OTHERS}
    if asked["token"].startswith("good.audience"):
        verdict["audiences"] = ["https://kubernetes.default.svc"]
    return verdict


class AdmissionTests(TlsCase):
    """A proxy that demands both, and asks an API server that demands a certificate of its own."""

    timeout = 100

    def setUp(self) -> None:
        super().setUp()
        self.api.judge = judge
        self.folder = Path(tempfile.mkdtemp(prefix="konnect-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.tree = make_tree(self.folder / "certs", names=["IP:127.0.0.1"])
        clients = Authority.create("clients", self.life)
        user = certificate_user(clients.issue_client("proxy", self.life))
        self.agent_port, self.frontend = free_port(), str(self.folder / "connect.sock")
        agents = self.tree.agent
        self.server = self.start(
            "proxy",
            {
                "frontend": f"connect=unix:{self.frontend}:lockfile=0",
                "agent-port": str(self.agent_port),
                "agent-bind-address": "127.0.0.1",
                "cluster-ca-cert": str(agents.ca),
                "cluster-cert": str(agents.server[0]),
                "cluster-key": str(agents.server[1]),
                "agent-namespace": "kube-system",
                "agent-service-account": "konnectivity-agent",
                "authentication-audience": "system:konnectivity-server",
                "kubeconfig": self.kubeconfig_of(user, port=self.listen(clients)),
                "kubeconfig-qps": "-1",
                "health-port": str(free_port()),
                "admin-port": str(free_port()),
            },
        )

    def start(self, name: str, flags: dict[str, str]) -> Program:
        """A process, which is ended at the test's end."""
        program = Program(self.reactor, name, flags)
        self.addCleanup(program.end)
        return program

    def agent(self, name: str, token: str, tree: Tree | None = None) -> Program:
        """An agent with a token (none: "") and a certificate of a tree (none: no folder)."""
        files = (tree or self.tree).agent
        certificate, key = files.client if files.client[0].exists() else ("", "")
        path = self.folder / f"{name}.token"
        if token:
            path.write_text(f"{token}\n", encoding="ascii")
        return self.start(
            "agent",
            {
                "agent-id": name,
                "proxy-server-host": "127.0.0.1",
                "proxy-server-port": str(self.agent_port),
                "ca-cert": str(self.tree.agent.ca),
                "agent-cert": str(certificate),
                "agent-key": str(key),
                "service-account-token-path": str(path) if token else "",
                "sync-interval": "50ms",
                "sync-interval-cap": "200ms",
                "health-server-port": str(free_port()),
                "admin-server-port": str(free_port()),
            },
        )

    async def test_both(self) -> None:
        """An agent with both is linked, and serves; the API server was asked by the proxy's own
        certificate."""
        agent = self.agent("both", "good.one")
        await agent.says("linked to proxy")
        await self.server.says("agent both at 127.0.0.1", "is connected")
        self.assertEqual([asked["token"] for asked in self.api.reviewed], ["good.one"])
        dialer = ConnectDialer(
            clientFromString(self.reactor, f"unix:{self.frontend}"), self.reactor
        )
        self.addCleanup(dialer.close)
        protocol = await KonnectEndpoint(dialer, "127.0.0.1", self.port).connect(
            Factory.forProtocol(Protocol)
        )
        protocol.transport.loseConnection()
        await self.server.says("tunnel ended:", "agent=both")

    async def test_refused_for_the_token(self) -> None:
        """The right certificate, and a token that is wrong, another's, for others, or not there:
        the agent says what the proxy says. A token that is made right is seen."""
        agents = {
            "wrong": ("bad", "invalid bearer token"),
            "account": ("account.good", 'from "default" service account'),
            "audience": ("good.audience", "audience"),
            "none": ("", "Authentication context was not found in metadata"),
        }
        running = {name: self.agent(name, token) for name, (token, _) in agents.items()}
        for name, (_, text) in agents.items():
            await running[name].says("no link", f"127.0.0.1:{self.agent_port}", text)
            await self.server.says("refused an agent from 127.0.0.1", text)
            self.assertNotIn("linked to proxy", running[name].log)
        self.assertNotIn("is connected", self.server.log)
        (self.folder / "wrong.token").write_text("good.again", encoding="ascii")
        await running["wrong"].says("linked to proxy")
        await self.server.says("agent wrong at 127.0.0.1", "is connected")

    async def test_refused_for_the_certificate(self) -> None:
        """A good token, and a certificate that is another authority's, or not there: the agent says
        which, and no token leaves it."""
        other = make_tree(self.folder / "other", names=["IP:127.0.0.1"])
        foreign = self.agent("foreign", "good.foreign", other)
        bare = self.agent("bare", "good.bare", Tree(self.folder / "nothing"))
        await foreign.says("no link", f"127.0.0.1:{self.agent_port}", "certificate")
        await bare.says("no link", f"127.0.0.1:{self.agent_port}", "demands a client certificate")
        good = self.agent("both", "good.one")
        await good.says("linked to proxy")
        self.assertEqual([asked["token"] for asked in self.api.reviewed], ["good.one"])
        for refused in foreign, bare:
            self.assertNotIn("linked to proxy", refused.log)
