"""The agent as a Twisted service: builds everything from a config, starts it, stops it in order."""

from __future__ import annotations

import time
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.python.failure import Failure

from konnect.agent.connector import Connector
from konnect.agent.departure import Departure
from konnect.agent.dialer import Dialer
from konnect.agent.link import ProxyLink
from konnect.agent.membership import Membership
from konnect.agent.ways import Way
from konnect.app.agent_leases import AgentLeases
from konnect.app.agent_options import AgentConfig
from konnect.app.agent_readiness import agent_checks
from konnect.app.bounds import make_pace, make_pressure
from konnect.app.describe import AgentEndpoints, address_text, authority_of, describe_agent
from konnect.app.extensions import CannotStart
from konnect.app.listening import Listeners, where
from konnect.app.open_doors import agents_open_doors, guard, open_profiles
from konnect.app.profiling_flags import Inspection
from konnect.app.tls_flags import make_renewal
from konnect.app.transport_flags import data_reactor
from konnect.log import make_logger
from konnect.net.hub.dialing import hub_reach
from konnect.net.named import NamedEndpoint
from konnect.net.timers import Timers
from konnect.net.tls import explain
from konnect.ops.health import Checks, admin_site, health_site
from konnect.ops.lag import LagMeter
from konnect.ops.metrics import agent_metrics
from konnect.ops.scrape import Scrape
from konnect.ops.tunnel_log import TunnelLog
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.strategies import useless
from konnect.tunnel.waiting import Holder, Waiting
from konnect.wire.metadata import parse_identifiers

log = make_logger(__name__)


class AgentService(Service):
    """One agent. How it stops is `Departure`'s part."""

    def __init__(self, config: AgentConfig, reactor: Any) -> None:
        self.setName("konnect-agent")
        self.config = config
        self._reactor = reactor
        self._timers = Timers(reactor)
        self.ledger = Ledger(time.monotonic, agent=True)
        self.renewal = make_renewal(self.ledger, reactor, config.tls_reload_interval)
        self.listeners = Listeners(reactor)
        self._tunnel_log = self.ledger.account = (
            TunnelLog(reactor, "proxy") if config.log.tunnels else None
        )
        self._inspection = Inspection(reactor, config.profiling)
        self._lag = LagMeter(reactor, self.ledger.reactor_lag)
        self._pace = make_pace(self.ledger, self._links, reactor)
        self._pressure = make_pressure(self.ledger, config.buffer_limit, self._links, reactor)
        self.connector: Connector | None = None
        self._leases: AgentLeases | None = None
        self.departure: Departure | None = None

    def privilegedStartService(self) -> None:
        """Read the certificates and open the health and admin ports; raises `CannotListen` or
        `CannotStart`."""
        super().privilegedStartService()
        config = self.config
        leases = self._leases = AgentLeases(config, self.ledger, self._reactor)
        endpoints = describe_agent(config)
        doors = agents_open_doors(endpoints)
        doors += open_profiles(config.admin_bind_address, profiling=config.profiling.enabled)
        guard(doors, strict=config.strict)
        wires = data_reactor(config.transport, self._reactor)
        ways = [self._way(wires, description) for description in endpoints.proxies]
        self.connector = self._make_connector(wires, ways, leases)
        self.departure = Departure(self.connector, self.ledger, self._reactor)
        self._open_sites(endpoints, self.connector)

    def _way(self, wires: Any, description: str) -> Way:
        """How a proxy is reached, from its endpoint string."""
        try:
            endpoint = clientFromString(wires, description)
        except Exception as error:
            text = f"the proxy's address ({where(description)}): {explain(Failure(error))}"
            raise CannotStart(text) from error
        name = address_text(description)
        self.renewal.follow(f"link to {name}", endpoint)
        if isinstance(endpoint, NamedEndpoint) and endpoint.through:
            log.info(
                "the way to {name} goes through the HTTP proxy {through}",
                name=name,
                through=endpoint.through,
            )
        return Way(endpoint, name, authority_of(description), self._reactor.nameResolver)

    def _make_connector(self, wires: Any, ways: list[Way], leases: AgentLeases) -> Connector:
        config = self.config
        if ignored := useless(parse_identifiers(config.agent_identifiers)):
            log.warn("--agent-identifiers: what matches no destination: {what}", what=ignored)
        dialer = (
            Dialer(wires, reach=hub_reach(wires), clock=self._timers)
            if config.transport.kind == "hub"
            else Dialer(self._reactor, clock=self._timers)
        )
        return Connector(
            ways,
            Membership(
                agent_id=config.agent_id,
                identifiers=config.agent_identifiers,
                sync_interval=config.sync_interval,
                sync_interval_cap=config.sync_interval_cap,
                sync_forever=config.sync_forever,
                probe_interval=config.probe_interval,
                keepalive_time=config.keepalive_time,
                flow=config.flow,
                token_path=config.service_account_token_path,
            ),
            self.ledger,
            dialer,
            self._reactor,
            counts=leases.counts,
            timers=self._timers,
        )

    def _open_sites(self, endpoints: AgentEndpoints, connector: Connector) -> None:
        config = self.config
        waiting = Waiting(self.ledger, self._holders)
        metrics = agent_metrics(self.ledger, connector.states, lambda: waiting.places)
        health = health_site(
            ready=self._ready,
            metrics=Scrape(waiting.look, metrics, self._reactor),
            style="agent",
            reactor=self._reactor,
        )
        admin = admin_site(
            health_port=config.health_server_port,
            profiling=self._inspection.pages,
            reactor=self._reactor,
        )
        self.listeners.open_optional("health port", endpoints.health, health)
        self.listeners.open_optional("admin port", endpoints.admin, admin)

    def startService(self) -> None:
        super().startService()
        assert self.connector is not None and self._leases is not None
        self.connector.start()
        self._leases.start(self.connector.hasten)
        self._lag.start()
        self._inspection.start()
        self.renewal.start()

    def _ready(self) -> Checks:
        assert self.connector is not None
        proxies = self.connector.standing()
        return agent_checks(**proxies, quorum=self.config.ready_quorum)

    def _links(self) -> list[ProxyLink]:
        return [] if self.connector is None else self.connector.links

    def _holders(self) -> list[Holder]:
        return [holder for link in self._links() for holder in link.holders]

    def reread(self) -> None:
        """Look at once whether the TLS files have changed."""
        self.renewal.look()

    def hurry(self) -> None:
        """Make a stop that is on its way immediate."""
        if self.departure is not None:
            self.departure.hurry()

    def stopService(self) -> Deferred[None]:
        """Done when nothing is left: no port, connection or delayed call."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._timers.rest()
        # No proxy is looked for any more. An API server that hangs takes its seconds beside the
        # drain and not after it, where a supervisor's patience ends.
        counting = Deferred.fromCoroutine(self._count_no_more())
        if self.departure is not None:
            await self.departure.run(self.config.drain_timeout)
        self._pace.stop()
        self._pressure.stop()
        await counting
        await self.listeners.close()
        self._lag.stop()
        self._inspection.stop()
        self.renewal.stop()
        if self._tunnel_log is not None:
            self._tunnel_log.close()

    async def _count_no_more(self) -> None:
        if self._leases is not None:
            await self._leases.stop()
