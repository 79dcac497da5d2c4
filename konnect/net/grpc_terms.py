"""What gRPC connections of one listener have in common, decided once and not for each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from konnect.net.floods import DEFAULT, Count, FloodLimits
from konnect.net.grpc_stream import GrpcStream, Metadata, StreamListener
from konnect.net.keepalive import Keepalive
from konnect.wire.grpc import Limits, OpeningMemo, Role
from konnect.wire.status import Status

if TYPE_CHECKING:
    from konnect.net.grpc import GrpcProtocol


@dataclass(slots=True)
class Terms:
    """A listener's; a client's connection has its own."""

    role: Role
    clock: IReactorTime
    keepalive: Keepalive
    """What watches the connections."""
    accept: Callable[[GrpcStream, str, Metadata], StreamListener | None] | None = None
    """Called for each stream that the peer opens (server role); returns the stream's listener, or
    None when it has ended the stream itself."""
    limits: Limits | None = None
    memo: OpeningMemo | None = None
    """It brings the limits then."""
    floods: FloodLimits = DEFAULT
    on_cut: Count | None = None
    """Counts what was cut for what its peer did."""
    on_lost: Callable[[GrpcProtocol, str], None] | None = None
    """Told of each connection's end, and why."""
    lost: Status = field(init=False)
    """How streams end whose connection is lost. grpc's programs count it so: a client that leaves
    has cancelled, most of Go's leave like this after each tunnel, and only a server is missed."""

    def __post_init__(self) -> None:
        self.lost = Status.UNAVAILABLE if self.role.client else Status.CANCELLED


def own_terms(
    role: Role,
    clock: IReactorTime,
    *,
    limits: Limits | None = None,
    accept: Callable[[GrpcStream, str, Metadata], StreamListener | None] | None = None,
    keepalive_time: float = 3600.0,
    on_lost: Callable[[GrpcProtocol, str], None] | None = None,
) -> Terms:
    """Those of one connection by itself, as a client's."""
    return Terms(role, clock, Keepalive(clock, keepalive_time), accept, limits, on_lost=on_lost)
