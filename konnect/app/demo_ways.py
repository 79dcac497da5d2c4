"""The four ways through the demo's proxy: a request through each, and lines to try it by hand."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import quoteStringArgument
from twisted.web.client import Agent, HTTPConnectionPool, readBody

import konnect
from konnect.app.demo_stage import Stage
from konnect.app.describe import quoted_place
from konnect.app.test_server import HOST
from konnect.client.dialing import Dialer
from konnect.client.endpoint_string import parse_via
from konnect.client.web import WebEndpoints
from konnect.net.tls import explain

PAGE = "success"

REQUEST_TIMEOUT = 20.0
"""Seconds for one request, its dial included."""


@dataclass(frozen=True, slots=True)
class Way:
    """One frontend, as a client sees it."""

    protocol: str
    """`gRPC` or `CONNECT`."""
    carrier: str
    """`mTLS` or `unix`."""
    address: str
    """Where the frontend listens, for people."""
    via: str
    """The same for `konnect:` endpoint strings, with the client's certificate."""
    test_client: tuple[str, ...]
    """Flags of `konnect test-client`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request."""

    status: int = 0
    size: int = 0
    """Bytes of the body."""
    milliseconds: float = 0.0
    problem: str = ""

    @property
    def good(self) -> bool:
        """Whether the page came."""
        return self.status == 200 and self.size > 0 and not self.problem


def ways_of(stage: Stage) -> tuple[Way, ...]:
    """The four ways."""
    side = stage.tree.frontend
    cert, key = side.client

    def mtls(port: int) -> str:
        files = {"ca": side.ca, "cert": cert, "key": key}
        parts = [f"{name}={quoteStringArgument(str(path))}" for name, path in files.items()]
        return ":".join([f"mtls:{HOST}:{port}", *parts])

    def tcp_flags(mode: str, port: int) -> tuple[str, ...]:
        return (
            f"--mode={mode}",
            f"--proxy-host={HOST}",
            f"--proxy-port={port}",
            f"--ca-cert={side.ca}",
            f"--client-cert={cert}",
            f"--client-key={key}",
        )

    def unix_flags(mode: str, path: Path) -> tuple[str, ...]:
        return (f"--mode={mode}", "--proxy-host=", "--proxy-port=0", f"--proxy-uds={path}")

    grpc, connect = stage.ports.grpc, stage.ports.connect
    grpc_socket, connect_socket = stage.grpc_socket, stage.connect_socket
    return (
        Way("gRPC", "mTLS", f"{HOST}:{grpc}", f"grpc={mtls(grpc)}", tcp_flags("grpc", grpc)),
        Way(
            "gRPC",
            "unix",
            grpc_socket.name,
            f"grpc=unix:{quoted_place(str(grpc_socket))}",
            unix_flags("grpc", grpc_socket),
        ),
        Way(
            "CONNECT",
            "mTLS",
            f"{HOST}:{connect}",
            f"connect={mtls(connect)}",
            tcp_flags("http-connect", connect),
        ),
        Way(
            "CONNECT",
            "unix",
            connect_socket.name,
            f"connect=unix:{quoted_place(str(connect_socket))}",
            unix_flags("http-connect", connect_socket),
        ),
    )


async def try_way(reactor: Any, stage: Stage, way: Way) -> Outcome:
    """Request the destination's page by `way`; never raises for what goes wrong on it."""
    dialer = parse_via(reactor, way.via)
    request = Deferred.fromCoroutine(_request(reactor, stage, dialer))
    late = Outcome(problem=f"no answer within {REQUEST_TIMEOUT:g} seconds")
    request.addTimeout(REQUEST_TIMEOUT, reactor, lambda result, seconds: late)
    try:
        return await request
    except Exception as problem:
        reasons = getattr(problem, "reasons", None)
        return Outcome(problem=explain(reasons[0] if reasons else problem))
    finally:
        await dialer.close()


async def _request(reactor: Any, stage: Stage, dialer: Dialer) -> Outcome:
    started = reactor.seconds()
    pool = HTTPConnectionPool(reactor, persistent=False)
    agent = Agent.usingEndpointFactory(reactor, WebEndpoints(dialer), pool)
    url = f"http://{HOST}:{stage.ports.destination}/{PAGE}"
    response = await agent.request(b"GET", url.encode())
    body = await readBody(response)
    milliseconds = (reactor.seconds() - started) * 1000
    return Outcome(response.code, len(body), milliseconds)


def konnect_command() -> str:
    """This very program for another terminal, where its environment may not be active."""
    program = Path(sys.argv[0])
    if program.name == "konnect" and os.access(program, os.X_OK):
        return shlex.quote(str(program.absolute()))
    root = Path(konnect.__file__).parent.parent
    return f"PYTHONPATH={shlex.quote(str(root))} {shlex.quote(sys.executable)} -m konnect.app.cli"


def lines_to_paste(stage: Stage) -> list[tuple[str, str]]:
    """(what it shows, the line)."""
    ports, side = stage.ports, stage.tree.frontend
    cert, key = side.client
    url = f"http://{HOST}:{ports.destination}/{PAGE}"
    curl = (
        f"curl -s -p -x https://{HOST}:{ports.connect} --proxy-cacert {shlex.quote(str(side.ca))}"
        f" --proxy-cert {shlex.quote(str(cert))} --proxy-key {shlex.quote(str(key))} {url}"
    )
    command = konnect_command()
    lines = [("curl, by CONNECT over mTLS", curl)]
    for way in ways_of(stage):
        flags = [*way.test_client, f"--request-host={HOST}"]
        flags.append(f"--request-port={ports.destination}")
        title = f"test client, by {way.protocol} over {way.carrier}"
        if (way.protocol, way.carrier) == ("CONNECT", "unix"):
            title += " (curl cannot do that)"
        lines.append((title, f"{command} test-client {shlex.join(flags)}"))
    lines += [
        ("is the proxy ready?", f"curl -s http://{HOST}:{ports.proxy_health}/readyz"),
        ("is the agent ready?", f"curl -s 'http://{HOST}:{ports.agent_health}/readyz?verbose'"),
        ("the proxy's metrics", f"curl -s http://{HOST}:{ports.proxy_health}/metrics"),
        ("the agent's metrics", f"curl -s http://{HOST}:{ports.agent_health}/metrics"),
    ]
    return lines
