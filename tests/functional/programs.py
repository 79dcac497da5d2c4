"""A proxy and an agent as services of this process, to be stopped, killed and started again as they
were.

Services are built as the command line builds them: flags, options, config, service.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from twisted.internet.endpoints import clientFromString

from konnect.app.agent import agent_service
from konnect.app.agent_options import AgentOptions
from konnect.app.agent_service import AgentService
from konnect.app.proxy import proxy_service
from konnect.app.proxy_options import ProxyOptions
from konnect.app.proxy_service import ProxyService
from konnect.tunnel.ledger import Ledger
from tests.certificates import pki
from tests.functional.waiting import the_reactor
from tests.ports import free_port

GRPC_UNIX, GRPC_TLS = "grpc over a unix socket", "grpc over mTLS"
CONNECT_UNIX, CONNECT_TLS = "CONNECT over a unix socket", "CONNECT over mTLS"
WAYS = (GRPC_UNIX, GRPC_TLS, CONNECT_UNIX, CONNECT_TLS)

LINGER = "60s"
"""Far above every wait of a test: what only a linger timer would end is seen as never ending."""


S = TypeVar("S", ProxyService, AgentService)


class Rig(Generic[S]):
    """One program: flags, and the services that ran with them."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self.name = name
        self.running = False
        self.services: list[S] = []
        """All that ran, the last one included."""
        self._arguments = arguments

    @property
    def service(self) -> S:
        """The last one that was started."""
        return self.services[-1]

    @property
    def ledger(self) -> Ledger:
        """Its books."""
        return self.service.ledger

    @property
    def live(self) -> int:
        """How many tunnels are open."""
        return self.ledger.live

    def start(self) -> None:
        """Build the service from the flags and start it. Raises what starting it raises."""
        service = self._build()
        self.services.append(service)
        service.privilegedStartService()
        service.startService()
        self.running = True

    async def stop(self) -> None:
        """The orderly way; nothing happens when it is not running."""
        if self.running:
            self.running = False
            await self.service.stopService()

    def unbalanced(self) -> list[str]:
        """What the books of all services say is still open, in words."""
        found = []
        for service in self.services:
            ledger = service.ledger
            if ledger.live:
                found.append(f"{self.name}: {ledger.opened} opened, {ledger.closed} closed")
            if ledger.pending_dials:
                found.append(f"{self.name}: {ledger.pending_dials} dials pending")
            if ledger.grown:
                found.append(f"{self.name}: windows are {ledger.grown} bytes too large")
            if ledger.buffered:
                found.append(f"{self.name}: {ledger.buffered} bytes buffered")
        return found

    def leftovers(self) -> list[str]:
        """What the books and tables say is still there, in words."""
        return self.unbalanced() + self._tables()

    def _build(self) -> S:
        raise NotImplementedError

    def _tables(self) -> list[str]:
        raise NotImplementedError


class ProxyRig(Rig[ProxyService]):
    """One proxy with all four frontends, which can be stopped and started again as it was."""

    def __init__(self, directory: str, name: str, **flags: str) -> None:
        files = pki()
        self.agent_port, self.health_port = free_port(), free_port()
        self._grpc, self._connect = f"{directory}/{name}-g.sock", f"{directory}/{name}-c.sock"
        self._grpc_port, self._connect_port = free_port(), free_port()
        tls = f"cert={files.frontend_cert}:key={files.frontend_key}:ca={files.frontend_ca}"
        tls += ":interface=127.0.0.1"
        arguments = [
            f"--frontend=grpc=unix:{self._grpc}:lockfile=0",
            f"--frontend=connect=unix:{self._connect}:lockfile=0",
            f"--frontend=grpc=mtls:{self._grpc_port}:{tls}:alpn=h2",
            f"--frontend=connect=mtls:{self._connect_port}:{tls}:alpn=http/1.1",
        ]
        arguments += _arguments(
            {
                "agent-port": str(self.agent_port),
                "agent-bind-address": "127.0.0.1",
                "cluster-cert": files.agent_server_cert,
                "cluster-key": files.agent_server_key,
                "cluster-ca-cert": files.agent_ca,
                "health-port": str(self.health_port),
                "health-bind-address": "127.0.0.1",
                "admin-port": str(free_port()),
                "server-id": name,
                "linger-timeout": LINGER,
                "shutdown-delay": "0s",
            },
            flags,
        )
        super().__init__(name, arguments)

    def _build(self) -> ProxyService:
        options = ProxyOptions()
        options.parseOptions(self._arguments)
        return proxy_service(options.config, the_reactor())

    async def crash(self) -> None:
        """As when the process is killed: every connection is reset, nobody is told a word."""
        for connection in self.service.connections():
            connection.transport.abortConnection()  # type: ignore[union-attr]
        await self.stop()

    def endpoint(self, way: str, reactor: Any = None) -> Any:
        """How a client reaches a frontend; on a HubReactor, on the hub's transports."""
        files = pki()
        tls = f"ca={files.frontend_ca}:cert={files.frontend_client_cert}"
        tls += f":key={files.frontend_client_key}"
        text = {
            GRPC_UNIX: f"unix:{self._grpc}",
            CONNECT_UNIX: f"unix:{self._connect}",
            GRPC_TLS: f"mtls:127.0.0.1:{self._grpc_port}:{tls}:alpn=h2",
            CONNECT_TLS: f"mtls:127.0.0.1:{self._connect_port}:{tls}:alpn=http/1.1",
        }[way]
        return clientFromString(reactor or the_reactor(), text)

    def agent_listener(self) -> Any:
        """How something reaches the agents' port that may be no agent."""
        files = pki()
        text = f"mtls:127.0.0.1:{self.agent_port}:ca={files.agent_ca}:alpn=h2"
        return clientFromString(
            the_reactor(), f"{text}:cert={files.agent_cert}:key={files.agent_key}"
        )

    def _tables(self) -> list[str]:
        ledger = self.ledger
        found = []
        if ledger.http_connections:
            found.append(f"{self.name}: {ledger.http_connections} CONNECT clients")
        if ledger.grpc_streams.get("Proxy"):
            found.append(f"{self.name}: {ledger.grpc_streams['Proxy']} Proxy streams")
        windows, bound = self.service._windows, self.service.config.buffer_limit
        if windows.room != bound // 4:
            found.append(f"{self.name}: {windows.room} bytes left for windows of {bound} // 4")
        for link in self.service.registry.links():
            found += _used(f"{self.name}: {link}", link.ends, link.dials)
        return found


class AgentRig(Rig[AgentService]):
    """One agent."""

    def __init__(self, name: str, port: int, **flags: str) -> None:
        files = pki()
        self.health_port = free_port()
        arguments = _arguments(
            {
                "agent-id": name,
                "proxy-server-host": "127.0.0.1",
                "proxy-server-port": str(port),
                "ca-cert": files.agent_ca,
                "agent-cert": files.agent_cert,
                "agent-key": files.agent_key,
                "health-server-host": "127.0.0.1",
                "health-server-port": str(self.health_port),
                "admin-server-port": str(free_port()),
                "sync-interval": "40ms",
                "sync-interval-cap": "200ms",
                "drain-timeout": "0s",
                "linger-timeout": LINGER,
            },
            flags,
        )
        super().__init__(name, arguments)

    def _build(self) -> AgentService:
        options = AgentOptions()
        options.parseOptions(self._arguments)
        return agent_service(options.config, the_reactor())

    async def crash(self) -> None:
        """As when the process is killed: its links are reset, the proxies are told no word."""
        for session in self.sessions:
            session.protocol.abort()
        await self.stop()

    @property
    def sessions(self) -> list[Any]:
        connector = self.service.connector
        return [] if connector is None else list(connector.sessions.values())

    def _tables(self) -> list[str]:
        ledger = self.ledger
        found = []
        if ledger.open_endpoint_connections:
            found.append(f"{self.name}: {ledger.open_endpoint_connections} destination sockets")
        for session in self.sessions:
            found += _used(f"{self.name}: its link", session.link.ends, session.link.dials)
        return found


def _arguments(flags: dict[str, str], more: dict[str, str]) -> list[str]:
    flags = flags | {name.replace("_", "-"): value for name, value in more.items()}
    return [f"--{name}={value}" for name, value in flags.items()]


def _used(name: str, ends: Any, dials: Any) -> list[str]:
    return [f"{name} has {len(ends)} tunnels and {len(dials)} dials"] if ends or dials else []
