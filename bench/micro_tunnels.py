"""The pieces of `micro.py` that open tunnels and close them, over links whose peer is a script."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from micro_fakes import DONE, Stream, Transport
from micro_wire import REQUEST
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from konnect.agent.link import ProxyLink
from konnect.net.grpc_server import GrpcServerFactory
from konnect.net.policing import CLIENTS
from konnect.net.timers import Timers
from konnect.proxy import frontend_grpc
from konnect.proxy.dialing import Switchboard
from konnect.proxy.frontend_connect import ConnectFactory
from konnect.proxy.link import AgentLink
from konnect.tunnel.flow import Flow
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.routing import Registry
from konnect.wire import frames, packets
from konnect.wire.features import Features
from konnect.wire.framing import PREFIX_SIZE, prefix
from konnect.wire.grpc import GrpcConnection, Limits, OpeningMemo, Role
from konnect.wire.metadata import AgentHello, Identifiers

Run = Callable[[], None]

FEATURES = Features(credit=524288, half_close=True)
FLOW = Flow(features=FEATURES)
COST = 40
RANDOM = 5 * 10**18
"""A dial's number as Go's clients choose it, of 63 bits."""
COUNTED = 10**8
"""The same as our proxy counts it."""
SETTINGS_ACK = b"\0\0\0\4\1\0\0\0\0"


class Proxy:
    """A proxy's switchboard and the link of its one agent."""

    def __init__(self) -> None:
        clock: Any = Clock()
        self.clock: Any = Timers(clock)
        self.ledger = Ledger(clock.seconds)
        self.stream: Any = Stream()
        registry: Registry[AgentLink] = Registry()
        self.switchboard = Switchboard(
            registry, self.ledger, self.clock, dial_timeout=30.0, buffer_limit=1 << 20
        )
        hello = AgentHello("a", Identifiers())
        self.link = AgentLink(
            self.stream, hello, self.ledger, clock=self.clock, flow=FLOW, on_end=registry.remove
        )
        self.link.agree(FEATURES)
        registry.add(self.link)

    def accept(self, connect_id: int) -> None:
        """The agent answers the dial that it was asked for."""
        random = packets.parse(self.stream.last).dialRequest.random
        self.link.message(packets.dial_rsp(random, connect_id=connect_id), COST)

    def end(self, connect_id: int) -> None:
        """The agent says that the tunnel is over."""
        self.link.message(packets.close_rsp(connect_id), COST)

    def grpc_streams(self) -> Any:
        """What accepts the streams of gRPC clients."""
        if not hasattr(frontend_grpc, "GrpcFrontend"):  # in other versions
            make: Any = frontend_grpc.ProxyStream
            return lambda stream, _: make(stream, self.switchboard, self.ledger, self.clock)
        from konnect.proxy.client_window import ClientWindows

        windows = ClientWindows(self.ledger.now, 1 << 20)
        shared = frontend_grpc.GrpcFrontend(self.switchboard, self.ledger, self.clock, windows)
        return shared.accept


def over_connect(operations: int) -> Run:
    """A CONNECT client's connection: request, dial, success, first bytes, the end."""
    proxy = Proxy()
    factory = ConnectFactory(proxy.switchboard, proxy.ledger, proxy.clock)

    def once(connect_id: int) -> None:
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(Transport())  # type: ignore[arg-type]
        protocol.dataReceived(REQUEST)
        proxy.accept(connect_id)
        protocol.dataReceived(b"hello")
        proxy.end(connect_id)
        protocol.connectionLost(DONE)

    return _each(once, operations, proxy.ledger)


def over_grpc(operations: int) -> Run:
    """A gRPC client's stream: DIAL_REQ, dial, success, first bytes, the end."""
    proxy = Proxy()
    request = packets.dial_req("tcp", "host:80", RANDOM)
    accept = proxy.grpc_streams()

    def once(connect_id: int) -> None:
        stream: Any = Stream()
        client: Any = accept(stream, ())
        stream.listener = client
        client.message(request, COST)
        proxy.accept(connect_id)
        client.message(packets.data(connect_id, b"hello"), COST)
        proxy.end(connect_id)
        client.half_closed()

    return _each(once, operations, proxy.ledger)


def over_a_grpc_connection(operations: int) -> Run:
    """The same from the connection of a stock client to its end: preface, request and dial in one
    read, the acknowledged SETTINGS, bytes both ways, CLOSE_REQ and a hang-up."""
    proxy = Proxy()

    factory = GrpcServerFactory(
        "gRPC frontend",
        {packets.PROXY_PATH: proxy.grpc_streams()},
        proxy.clock,
        memo=OpeningMemo(Limits()),
        pings=CLIENTS,
    )
    client = GrpcConnection(Role.CLIENT)
    client.start()
    stream = client.open_stream(packets.PROXY_PATH, (), authority="a", scheme="http")
    client.send_message(stream, packets.dial_req("tcp", "host:80", RANDOM))
    opening = client.output()

    def frame(packet: bytes) -> bytes:
        return frames.data_head(stream, PREFIX_SIZE + len(packet)) + prefix(len(packet)) + packet

    def once(connect_id: int) -> None:
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(Transport())  # type: ignore[arg-type]
        protocol.dataReceived(opening)
        protocol.dataReceived(SETTINGS_ACK)
        proxy.accept(connect_id)
        protocol.dataReceived(frame(packets.data(connect_id, b"hello")))
        proxy.link.message(packets.data(connect_id, b"hello"), COST)
        protocol.dataReceived(frame(packets.close_req(connect_id)))
        proxy.end(connect_id)
        protocol.connectionLost(DONE)

    return _each(once, operations, proxy.ledger)


class _Reached:
    """A dialer whose destinations answer at once."""

    protocol: Any = None

    def dial(self, network: str, address: str, make: Any, *asker: Any) -> Any:
        if not asker:  # in other versions: a factory, and a Deferred for who asks
            make = partial(make.buildProtocol, None)
        self.protocol = make()
        self.protocol.makeConnection(Transport())
        if not asker:
            return succeed(self.protocol)
        return asker[0].reached(self.protocol)


def at_the_agent(operations: int) -> Run:
    """The agent's part: DIAL_REQ, a destination that answers, CLOSE_REQ, the end."""
    ledger = Ledger(Clock().seconds)
    dialer: Any = _Reached()
    stream: Any = Stream()
    clock: Any = Timers(Clock())
    link = ProxyLink(stream, ledger, dialer, clock, flow=FLOW, open_stream=lambda _: stream)
    link.agree(FEATURES)

    def once(number: int) -> None:
        link.message(packets.dial_req("tcp", "host:80", COUNTED + number), COST)
        link.message(packets.close_req(number), COST)
        dialer.protocol.connectionLost(DONE)

    return _each(once, operations, ledger)


def _each(once: Callable[[int], None], operations: int, ledger: Ledger) -> Run:
    def run() -> None:
        for number in range(1, operations + 1):
            once(number)
        if (ledger.opened, ledger.live) != (operations, 0):
            raise AssertionError(f"{ledger.opened} tunnels opened, {ledger.live} are left")

    return run


def timing(operations: int) -> Run:
    """A limit is set and cancelled, while others of its length wait."""
    timers = Timers(Clock())
    timers.callLater(5.0, print)

    def run() -> None:
        for _ in range(operations):
            timers.callLater(5.0, print).cancel()

    return run


PIECES = {
    "tunnel: CONNECT, at the proxy": (over_connect, 30),
    "tunnel: gRPC stream, at the proxy": (over_grpc, 30),
    "tunnel: gRPC connection, at the proxy": (over_a_grpc_connection, 30),
    "tunnel: at the agent": (at_the_agent, 30),
    "timers: set and cancel": (timing, 200),
}
