"""A proxy and an agent with upstream's flags, as real processes, and the test case that uses them.

Most tests only pass through a pair, so four pairs (two frontends, two transports) stand for the
whole run, each started when first asked for; a test that breaks or stops something starts its own.
Either way a test fails when its processes logged something that no log may hold, or died.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import pki
from tests.interop import processes
from tests.interop.processes import Destination, Program, temporary_directory, wait_until
from tests.ports import free_port

MODES = ("grpc", "http-connect")
TRANSPORTS = ("uds", "mtls")


@dataclass
class Proxy:
    """A running proxy and where it listens."""

    program: Program
    mode: str
    uds: str
    """Path of the frontend's socket; empty on TCP."""
    port: int
    """The frontend's port; 0 on a unix socket."""
    agent_port: int
    health_port: int

    def wait_ready(self) -> None:
        """Return when an agent is connected."""
        self.program.wait_ready(self.health_port, "/readyz")

    def ready(self) -> bool:
        return processes.http_get(self.health_port, "/readyz")[0] == 200

    def metric(self, name: str) -> float:
        """Sum of a metric's samples over its labels; 0 when it is not exposed (yet)."""
        return _sum_of(self.health_port, f"konnectivity_network_proxy_server_{name}")


@dataclass
class Agent:
    """A running agent."""

    program: Program
    health_port: int

    def ready(self) -> bool:
        return processes.http_get(self.health_port, "/readyz")[0] == 200

    def metric(self, name: str) -> float:
        """As `Proxy.metric`."""
        return _sum_of(self.health_port, f"konnectivity_network_proxy_agent_{name}")


@dataclass
class Pair:
    proxy: Proxy
    agent: Agent


def proxy_flags(directory: Path, mode: str, transport: str) -> dict[str, str]:
    """Flag to value, for a proxy with one frontend: as upstream's README, on free ports."""
    files = pki()
    flags = {
        "mode": mode,
        "cluster-ca-cert": files.agent_ca,
        "cluster-cert": files.agent_server_cert,
        "cluster-key": files.agent_server_key,
        "agent-port": str(free_port()),
        "agent-bind-address": "127.0.0.1",
        "health-port": str(free_port()),
        "health-bind-address": "127.0.0.1",
        "admin-port": str(free_port()),
    }
    if transport == "uds":
        return flags | {"uds-name": str(directory / "frontend.sock"), "server-port": "0"}
    return flags | {
        "server-port": str(free_port()),
        "server-bind-address": "127.0.0.1",
        "server-ca-cert": files.frontend_ca,
        "server-cert": files.frontend_cert,
        "server-key": files.frontend_key,
    }


def agent_flags(proxy_port: int) -> dict[str, str]:
    """Flag to value, for an agent of the proxy at that port that reconnects quickly."""
    files = pki()
    return {
        "proxy-server-host": "127.0.0.1",
        "proxy-server-port": str(proxy_port),
        "ca-cert": files.agent_ca,
        "agent-cert": files.agent_cert,
        "agent-key": files.agent_key,
        "health-server-host": "127.0.0.1",
        "health-server-port": str(free_port()),
        "admin-server-port": str(free_port()),
        "sync-interval": "200ms",
        "sync-interval-cap": "500ms",
        "probe-interval": "200ms",
    }


def arguments(flags: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]


def run_proxy(directory: Path, flags: dict[str, str]) -> Proxy:
    """Start a proxy; does not wait."""
    return Proxy(
        program=Program("proxy", [*processes.PROXY, *arguments(flags)], directory),
        mode=flags["mode"],
        uds=flags.get("uds-name", ""),
        port=int(flags.get("server-port", 0)),
        agent_port=int(flags["agent-port"]),
        health_port=int(flags["health-port"]),
    )


def run_agent(directory: Path, flags: dict[str, str]) -> Agent:
    """Start an agent; does not wait."""
    program = Program("agent", [*processes.AGENT, *arguments(flags)], directory)
    return Agent(program, int(flags["health-server-port"]))


_standing: dict[tuple[str, str], Pair] = {}


def standing_pair(mode: str, transport: str) -> Pair:
    """The pair that serves every test of this run that asks for this frontend.

    One that died is replaced, so that only the test that killed it fails.
    """
    pair = _standing.get((mode, transport))
    if pair is None or not (pair.proxy.program.alive() and pair.agent.program.alive()):
        pair = _standing[mode, transport] = _start_pair(mode, transport)
    return pair


def _start_pair(mode: str, transport: str) -> Pair:
    directory = temporary_directory()
    proxy = run_proxy(directory, proxy_flags(directory, mode, transport))
    agent = run_agent(directory, agent_flags(proxy.agent_port))
    proxy.wait_ready()
    return Pair(proxy, agent)


_lone: dict[tuple[str, str], Proxy] = {}


def lone_proxy(mode: str, transport: str) -> Proxy:
    """A proxy without an agent, which stands like a pair: a test is the agent."""
    proxy = _lone.get((mode, transport))
    if proxy is None or not proxy.program.alive():
        directory = temporary_directory()
        proxy = _lone[mode, transport] = run_proxy(
            directory, proxy_flags(directory, mode, transport)
        )
        proxy.program.wait_ready(proxy.health_port, "/healthz")
    return proxy


@functools.cache
def standing_destination() -> Destination:
    return Destination()


class InteropTestCase(SynchronousTestCase):
    """A test whose servers are other processes; all its waits are bounded and may block."""

    maxDiff = None

    def setUp(self) -> None:
        self.destination = standing_destination()

    def pair(self, mode: str, transport: str) -> Pair:
        """The standing pair of a mode and a transport, watched while this test runs."""
        pair = standing_pair(mode, transport)
        for program in (pair.proxy.program, pair.agent.program):
            self.addCleanup(self._watch, program, program.log_size())
        return pair

    def shared_proxy(self, mode: str, transport: str) -> Proxy:
        """A standing proxy that has no agent yet, watched while this test runs."""
        proxy = lone_proxy(mode, transport)
        self.addCleanup(self._watch, proxy.program, proxy.program.log_size())
        return proxy

    def directory(self) -> Path:
        return temporary_directory()

    def proxy(
        self, mode: str = "grpc", transport: str = "uds", *, healthy: bool = True, **more: str
    ) -> Proxy:
        """A proxy of this test's own. `more` are flags, with _ for -; "" leaves a flag out."""
        directory = self.directory()
        flags = _merged(proxy_flags(directory, mode, transport), more)
        proxy = run_proxy(directory, flags)
        self.addCleanup(self._finish, proxy.program)
        if healthy:
            proxy.program.wait_ready(proxy.health_port, "/healthz")
        return proxy

    def agent(self, proxy_port: int, *, healthy: bool = True, **more: str) -> Agent:
        """An agent of this test's own; `more` as for `proxy`."""
        agent = run_agent(self.directory(), _merged(agent_flags(proxy_port), more))
        self.addCleanup(self._finish, agent.program)
        if healthy:
            agent.program.wait_ready(agent.health_port, "/readyz")
        return agent

    def own_pair(self, mode: str = "grpc", transport: str = "uds", **proxy_more: str) -> Pair:
        """A pair of this test's own, with the agent connected."""
        proxy = self.proxy(mode, transport, healthy=False, **proxy_more)
        agent = self.agent(proxy.agent_port, healthy=False)
        proxy.wait_ready()
        return Pair(proxy, agent)

    def assert_released(self, kind: str, before: int = 0) -> None:
        """The destination's connections of a kind are back to `before`, which takes a moment."""
        wait_until(
            lambda: self.destination.live(kind) <= before,
            f"open {kind} connections at the destination go back to {before}",
        )

    def _watch(self, program: Program, since: int) -> None:
        self.assertEqual(program.stains(since), "")
        self.assertTrue(program.alive(), program.log(since))

    def _finish(self, program: Program) -> None:
        program.end(patience=0.3)
        self.assertEqual(program.stains(), "")
        self.assertFalse(program.stubborn, f"{program} had to be killed:\n{program.log()}")


def _sum_of(port: int, name: str) -> float:
    samples = (
        line.rpartition(" ") for line in processes.http_get(port, "/metrics")[1].splitlines()
    )
    return sum(float(value) for key, _, value in samples if key.partition("{")[0] == name)


def _merged(flags: dict[str, str], more: dict[str, str]) -> dict[str, str]:
    flags = flags | {name.replace("_", "-"): value for name, value in more.items()}
    return {name: value for name, value in flags.items() if value != ""}
