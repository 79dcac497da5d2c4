"""The proxy as a Twisted service: builds everything from a config, starts it, stops it in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from konnect.app.bounds import make_pace, make_pressure
from konnect.app.describe import describe_proxy
from konnect.app.listening import Listeners
from konnect.app.open_doors import guard, open_doors, open_profiles
from konnect.app.profiling_flags import Inspection
from konnect.app.proxy_kubernetes import ProxyKubernetes
from konnect.app.proxy_options import ProxyConfig
from konnect.app.proxy_stop import Connection, ProxyStop
from konnect.app.strategies import make_registry
from konnect.app.tls_flags import make_renewal
from konnect.app.transport_flags import data_reactor
from konnect.net.grpc_server import GrpcServerFactory
from konnect.net.policing import AGENTS, CLIENTS
from konnect.net.timers import Timers
from konnect.ops.health import admin_site, health_site
from konnect.ops.lag import LagMeter
from konnect.ops.metrics import proxy_metrics
from konnect.ops.scrape import Scrape
from konnect.ops.tunnel_log import TunnelLog
from konnect.proxy.agents import Admission
from konnect.proxy.client_window import INITIAL, ClientWindows
from konnect.proxy.dialing import Switchboard
from konnect.proxy.frontend_connect import ConnectFactory
from konnect.proxy.frontend_grpc import GrpcFrontend
from konnect.proxy.link import AgentLink
from konnect.proxy.reviews import Reviews
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.link_sizes import LIMITS
from konnect.tunnel.routing import Registry
from konnect.tunnel.waiting import Waiting
from konnect.wire.collecting import Collecting
from konnect.wire.grpc import Limits, OpeningMemo
from konnect.wire.packets import CONNECT_PATH, PROXY_PATH


class ProxyService(Service):
    """One proxy. How it stops is `ProxyStop`'s part."""

    def __init__(self, config: ProxyConfig, reactor: Any) -> None:
        self.setName("konnect-proxy")
        self.config = config
        self._reactor = reactor
        self._timers = Timers(reactor)
        self._data_reactor = data_reactor(config.transport, reactor)
        self.ledger = Ledger(time.monotonic)
        self.registry: Registry[AgentLink] = make_registry(config.strategies)
        self.waiting = Waiting(self.ledger, self.connections)
        self._collecting = Collecting(config.buffer_limit)
        self._windows = ClientWindows(self.ledger.now, config.buffer_limit)
        self._pace = make_pace(self.ledger, self.registry.links, reactor)
        self._pressure = make_pressure(
            self.ledger,
            config.buffer_limit,
            self.registry.links,
            reactor,
            also=self._windows.resize,
        )
        self.switchboard = Switchboard(
            self.registry,
            self.ledger,
            self._timers,
            dial_timeout=config.backend_dial_timeout,
            answer_timeout=config.dial_answer_timeout,
            buffer_limit=config.buffer_limit,
            waiting=self.waiting,
        )
        self._grpc = GrpcFrontend(self.switchboard, self.ledger, self._timers, self._windows)
        self.renewal = make_renewal(self.ledger, reactor, config.tls_reload_interval)
        self.listeners = Listeners(
            reactor,
            delete_existing_sockets=config.delete_existing_uds_file,
            renewal=self.renewal,
        )
        self._frontends: list[GrpcServerFactory | ConnectFactory] = []
        self._agent_listeners: list[GrpcServerFactory] = []
        self._memos: list[OpeningMemo] = []
        self.stopping = ProxyStop(
            clock=reactor,
            ledger=self.ledger,
            switchboard=self.switchboard,
            registry=self.registry,
            listeners=self.listeners,
            clients=lambda: _connections(self._frontends),
            agents=lambda: _connections(self._agent_listeners),
            delay=config.shutdown_delay,
            graceful=config.graceful_shutdown_timeout,
        )
        self._tunnel_log = self.ledger.account = (
            TunnelLog(reactor, "agent") if config.log.tunnels else None
        )
        self._inspection = Inspection(reactor, config.profiling)
        self._lag = LagMeter(reactor, self.ledger.reactor_lag)
        self._kubernetes: ProxyKubernetes | None = None

    # -- starting

    def privilegedStartService(self) -> None:
        """Open every listener; raises `CannotListen` or `CannotStart`."""
        super().privilegedStartService()
        config = self.config
        kubernetes = ProxyKubernetes(config, self.ledger, self._reactor, self._timers)
        self._kubernetes = kubernetes
        self.stopping.withdraw.append(kubernetes.withdraw)
        endpoints = describe_proxy(config)
        doors = open_doors(endpoints, tokens=config.tokens is not None)
        doors += open_profiles(config.admin_bind_address, profiling=config.profiling.enabled)
        guard(doors, strict=config.strict)
        self.ledger.ready_backends.update(self.registry.counts())
        for kind, description in endpoints.frontends:
            self._open(f"{kind} frontend", description, self._frontend(kind))
        for description in endpoints.agents:
            self._open("agent listener", description, self._agents(kubernetes.reviews))
        waiting = self.waiting
        give = proxy_metrics(
            self.ledger, self.registry.states, lambda: waiting.places, self._openings
        )
        metrics = Scrape(waiting.look, give, self._reactor)
        self.listeners.open_optional(
            "health port",
            endpoints.health,
            health_site(ready=self._ready, metrics=metrics, style="proxy", reactor=self._reactor),
        )
        self.listeners.open_optional(
            "admin port",
            endpoints.admin,
            admin_site(metrics=metrics, profiling=self._inspection.pages, reactor=self._reactor),
        )

    def startService(self) -> None:
        super().startService()
        self._lag.start()
        self._inspection.start()
        if self._kubernetes is not None:
            self._kubernetes.start()
        self.renewal.start()

    def _open(self, name: str, description: str, factory: Factory) -> None:
        self.listeners.open(name, description, factory, reactor=self._data_reactor)

    def _frontend(self, kind: str) -> Factory:
        factory: GrpcServerFactory | ConnectFactory
        floods = self.config.floods
        if kind == "grpc":
            limits = Limits(
                collecting=self._collecting,
                stream_window=INITIAL,
                max_header_list=floods.head,
                max_streams=floods.streams,
            )
            memo = OpeningMemo(limits)
            self._memos.append(memo)
            factory = GrpcServerFactory(
                "gRPC frontend",
                {PROXY_PATH: self._grpc.accept},
                self._timers,
                memo=memo,
                keepalive_time=self.config.frontend_keepalive_time,
                pings=CLIENTS,
                floods=floods,
                on_cut=self._count_cut,
            )
        else:
            factory = ConnectFactory(
                self.switchboard,
                self.ledger,
                self._timers,
                linger=self.config.flow.linger,
                floods=floods,
            )
        self._frontends.append(factory)
        return factory

    def _openings(self) -> tuple[int, int]:
        return sum(memo.begun for memo in self._memos), sum(memo.made for memo in self._memos)

    def _count_cut(self, reason: str) -> None:
        self.ledger.cut[reason] += 1

    def _agents(self, reviews: Reviews | None) -> Factory:
        admission = Admission(
            self.registry,
            self.ledger,
            server_id=self.config.server_id,
            server_count=self.config.server_count,
            clock=self._timers,
            flow=self.config.flow,
            reviews=reviews,
        )
        factory = GrpcServerFactory(
            "agent listener",
            {CONNECT_PATH: admission.accept},
            self._timers,
            limits=LIMITS,
            keepalive_time=self.config.keepalive_time,
            pings=AGENTS,
            floods=self.config.floods,
            on_cut=self._count_cut,
        )
        self._agent_listeners.append(factory)
        return factory

    def _ready(self) -> tuple[bool, list[tuple[str, bool, str]]]:
        ready = self.registry.ready and not self.stopping.begun
        return ready, [("agent-connected", ready, "no connection to any proxy agent")]

    def connections(self) -> list[Connection]:
        """All connections of clients and agents."""
        return _connections([*self._frontends, *self._agent_listeners])

    # -- stopping

    def reread(self) -> None:
        """Look at once whether the TLS files have changed."""
        self.renewal.look()

    def hurry(self) -> None:
        """Make a stop that is on its way immediate."""
        self.stopping.hurry()

    def stopService(self) -> Deferred[None]:
        """Done when nothing is left: no port, connection or delayed call."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._timers.rest()
        await self.stopping.run()
        self._pace.stop()
        self._pressure.stop()
        self._lag.stop()
        self._inspection.stop()
        if self._tunnel_log is not None:
            self._tunnel_log.close()
        if self._kubernetes is not None:
            await self._kubernetes.stop()
        self.renewal.stop()


def _connections(factories: Sequence[GrpcServerFactory | ConnectFactory]) -> list[Connection]:
    return [connection for factory in factories for connection in factory.connections]
