"""The demo's stage: certificates, a proxy, an agent and a destination, all in this process.

Everything listens on 127.0.0.1 and in one temporary folder, which is removed with the stage.
"""

from __future__ import annotations

import errno
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater

from konnect.app.agent import agent_service
from konnect.app.agent_options import AgentConfig
from konnect.app.certs import Tree, TreeError, make_tree
from konnect.app.describe import quoted_place
from konnect.app.listening import CannotListen, quietly
from konnect.app.proxy import proxy_service
from konnect.app.proxy_options import ProxyConfig
from konnect.app.test_server import HOST, serve

AGENT_TIMEOUT = 15.0
"""Seconds that the agent may take to connect to the proxy."""

_POLL = 0.02


class StageError(Exception):
    """The stage cannot be set; the text is for the user."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The demo's TCP ports: eight in a row from `base` on."""

    base: int

    @property
    def grpc(self) -> int:
        """The proxy's gRPC frontend."""
        return self.base

    @property
    def connect(self) -> int:
        """The proxy's CONNECT frontend."""
        return self.base + 1

    @property
    def agents(self) -> int:
        """Where the agent connects to the proxy."""
        return self.base + 2

    @property
    def proxy_health(self) -> int:
        """Health and metrics of the proxy."""
        return self.base + 3

    @property
    def proxy_admin(self) -> int:
        """The proxy's admin port."""
        return self.base + 4

    @property
    def agent_health(self) -> int:
        """Health and metrics of the agent."""
        return self.base + 5

    @property
    def agent_admin(self) -> int:
        """The agent's admin port."""
        return self.base + 6

    @property
    def destination(self) -> int:
        """The HTTP destination."""
        return self.base + 7

    COUNT = 8

    def check(self) -> None:
        """Raises StageError for the first port that is taken."""
        for port in range(self.base, self.base + self.COUNT):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, port))
                except OSError as problem:
                    raise StageError(self._taken(port, problem)) from None

    def _taken(self, port: int, problem: OSError) -> str:
        last = self.base + self.COUNT - 1
        why = "is taken" if problem.errno == errno.EADDRINUSE else f"cannot be used: {problem}"
        other = self.base + 100 if self.base < 65000 else 28090
        return (
            f"port {port} {why}; the demo uses {self.base} to {last},"
            f" choose others with --port-base, for example --port-base={other}"
        )


class Stage:
    """All parts, started by `build` and ended by `strike`, which may be called at any time."""

    def __init__(self, reactor: Any, ports: Ports) -> None:
        self.ports = ports
        self._reactor = reactor
        self._folder: Path | None = None
        self._services: list[Any] = []
        self._destination: IListeningPort | None = None

    @property
    def folder(self) -> Path:
        """The temporary folder."""
        assert self._folder is not None
        return self._folder

    @property
    def tree(self) -> Tree:
        """The certificates."""
        return Tree(self.folder / "certs")

    @property
    def grpc_socket(self) -> Path:
        """The proxy's gRPC frontend on a unix socket."""
        return self.folder / "grpc.sock"

    @property
    def connect_socket(self) -> Path:
        """The proxy's CONNECT frontend on a unix socket."""
        return self.folder / "connect.sock"

    async def build(self) -> None:
        """Start everything and wait until the agent is connected. Raises StageError."""
        self.ports.check()
        self._make_folder()
        proxy = proxy_service(self._proxy_config(), self._reactor)
        agent = agent_service(self._agent_config(), self._reactor)
        try:
            self._destination = await quietly(serve, self._reactor, self.ports.destination)
            for service in (proxy, agent):
                self._services.append(service)
                service.privilegedStartService()
                service.startService()
        except (CannotListen, CannotListenError) as problem:
            raise StageError(f"cannot listen: {problem}") from None
        deadline = self._reactor.seconds() + AGENT_TIMEOUT
        while not proxy.registry.ready:
            if self._reactor.seconds() > deadline:
                raise StageError("the agent did not connect to the proxy; --log shows why")
            await deferLater(self._reactor, _POLL)

    def _make_folder(self) -> None:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="konnect-demo-"))
            make_tree(self.tree.directory)
        except (OSError, TreeError) as problem:
            cause = problem.__cause__ if isinstance(problem, TreeError) else problem
            why = (isinstance(cause, OSError) and cause.strerror) or problem
            raise StageError(
                f"cannot write temporary files: {why}; $TMPDIR chooses the folder for them"
            ) from None

    async def strike(self) -> None:
        """Stop everything and remove the folder."""
        try:
            while self._services:
                await self._services.pop().stopService()
            destination, self._destination = self._destination, None
            if destination is not None:
                await maybeDeferred(destination.stopListening)
        finally:
            folder, self._folder = self._folder, None
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _proxy_config(self) -> ProxyConfig:
        ports = self.ports
        frontend, agents = self.tree.frontend, self.tree.agent
        cert, key = (quoteStringArgument(str(path)) for path in frontend.server)
        tls = f"cert={cert}:key={key}:ca={quoteStringArgument(str(frontend.ca))}:interface={HOST}"
        return ProxyConfig(
            frontends=(
                ("grpc", f"mtls:{ports.grpc}:{tls}:alpn=h2"),
                ("grpc", unix_listener(self.grpc_socket)),
                ("connect", f"mtls:{ports.connect}:{tls}:alpn=http/1.1"),
                ("connect", unix_listener(self.connect_socket)),
            ),
            classic_frontend=False,
            agent_port=ports.agents,
            agent_bind_address=HOST,
            cluster_cert=str(agents.server[0]),
            cluster_key=str(agents.server[1]),
            cluster_ca_cert=str(agents.ca),
            health_port=ports.proxy_health,
            health_bind_address=HOST,
            admin_port=ports.proxy_admin,
            admin_bind_address=HOST,
            server_id="demo-proxy",
        )

    def _agent_config(self) -> AgentConfig:
        ports = self.ports
        side = self.tree.agent
        return AgentConfig(
            proxy_server_hosts=(HOST,),
            proxy_server_port=ports.agents,
            ca_cert=str(side.ca),
            agent_cert=str(side.client[0]),
            agent_key=str(side.client[1]),
            health_server_port=ports.agent_health,
            health_server_host=HOST,
            admin_server_port=ports.agent_admin,
            admin_bind_address=HOST,
            agent_id="demo-agent",
            drain_timeout=0,
        )


def unix_listener(path: Path) -> str:
    """An endpoint string to listen on a unix socket that only this user may connect to."""
    return f"unix:{quoted_place(str(path))}:mode=600:lockfile=0"
