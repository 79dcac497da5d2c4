"""A client and an agent that keep no rule. What they are told is not looked at."""

from __future__ import annotations

from random import Random
from typing import Any

from konnect.proxy.frontend_grpc import GrpcFrontend
from konnect.wire import packets
from konnect.wire.metadata import AgentHello, Identifiers
from konnect.wire.status import Status
from tests.fakes import FakeStream
from tests.interleaving.agents import FEATURES, MakeLink
from tests.interleaving.peers import PATTERN

STRAY = "stray"
"""The agent's id."""


class Stray:
    """What both have in common: a stream that is read now and then, and resets."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.stream = FakeStream()

    @property
    def over(self) -> bool:
        """Whether either side has ended it."""
        return self.stream.listener is None or self.stream.over

    def act(self) -> None:
        """Do something."""
        self.stream.deliver(self.chance.choice(self.packets()))
        if self.chance.random() < 0.2:
            self.stream.room = False
        elif self.chance.random() < 0.2:
            self.read()
        if self.chance.random() < 0.02:
            self.leave()

    def packets(self) -> list[bytes]:
        """What it may send now."""
        raise NotImplementedError

    def read(self) -> None:
        """Read on."""
        if not self.stream.room:
            self.stream.room = True
            if not self.over and self.stream.listener is not None:
                self.stream.listener.writable()

    def leave(self) -> None:
        """Reset the stream."""
        listener, self.stream.listener = self.stream.listener, None
        if listener is not None and not self.stream.over:
            listener.ended(Status.CANCELLED, "reset", True)


class StrayClient(Stray):
    """Speaks before it dials, dials twice, closes what is not its own."""

    def __init__(self, frontend: GrpcFrontend, chance: Random) -> None:
        super().__init__(chance)
        self.proxy = self.stream.listener = frontend.accept(self.stream, ())

    def packets(self) -> list[bytes]:
        number = self.chance.randrange(4)
        dial = packets.dial_req("tcp", f"stray{number}", number)
        return [
            *[dial] * 3,
            packets.data(number, PATTERN[:5000]),
            packets.data(number + 1, PATTERN[:50]),
            packets.close_req(number),
            packets.close_rsp(number),
            packets.dial_cls(number),
            packets.dial_rsp(number, connect_id=number),
            b"",
        ]


class StrayAgent(Stray):
    """Answers what was not asked, with ids that are in use; knows no credit, and invents some."""

    def __init__(self, make_link: MakeLink, chance: Random) -> None:
        super().__init__(chance)
        self.link = make_link(self.stream, AgentHello(STRAY, Identifiers()))
        self.link.agree(chance.choice(FEATURES))
        self.stream.listener = self.link
        self._randoms = [5]

    def packets(self) -> list[bytes]:
        self._randoms += [packet[3] for packet in self.stream.take() if packet[0] == "DIAL_REQ"]
        choose: Any = self.chance.choice
        random = choose(self._randoms[-4:])
        number = self.chance.randrange(6)
        label = choose(("", "client_closed", "shutdown", "linger", "x"))
        increment = choose((-(2**40), -5000, -1, 0, 1, 5000, 2**40, 2**62))
        return [
            *[packets.dial_rsp(random, connect_id=number)] * 3,
            packets.dial_rsp(random, connect_id=-1),
            packets.dial_rsp(random, connect_id=number, error="no", fault="overloaded"),
            packets.dial_rsp(random, error="no"),
            packets.dial_cls(random),
            *[packets.data(number, PATTERN[: choose((1, 10, 30_000, 1 << 20))])] * 2,
            packets.close_rsp(number, label),
            packets.close_req(number, label),
            packets.half_close(number),
            *[packets.credit(number, increment)] * 2,
            packets.drain(),
            packets.dial_req("tcp", "x", 5),
            b"xx",
        ]
