"""The books of this process's dials and tunnels: plain integers, always counted, as upstream's
client library counts them. `konnect.client.metrics` shows them to those who ask."""

from __future__ import annotations

from collections import defaultdict

from konnect.client.errors import DialFailed
from konnect.wire.status import OK, Status

CREATED = "created"
"""A tunnel whose proxy is being reached."""

DIALING = "dialing"
"""One whose proxy was asked."""

OPEN = "ok"


class ClientLedger:
    """All counters. They are counted in the reactor's thread and may be copied in any."""

    def __init__(self) -> None:
        self.dial_failures: dict[str, int] = defaultdict(int)
        """By the `reason` of `DialFailed`; `unknown` for what is none."""
        self.tunnels: dict[str, int] = defaultdict(int)
        """Those that are now, by state."""
        self.packets: dict[tuple[str, str], int] = defaultdict(int)
        """By segment and type. Tunnels by CONNECT have none."""
        self.stream_errors: dict[tuple[str, str, str], int] = defaultdict(int)
        """By segment, code and type of the packet."""

    def dial_failed(self, problem: BaseException | None) -> None:
        """Count a dial that came to nothing."""
        reason = problem.reason if isinstance(problem, DialFailed) else DialFailed.reason
        self.dial_failures[reason] += 1

    def sent(self, packet_type: str) -> None:
        """Count a packet to the proxy."""
        self.packets["from_client", packet_type] += 1

    def received(self, packet_type: str) -> None:
        """Count a packet from the proxy."""
        self.packets["to_client", packet_type] += 1

    def stream_ended(self, status: Status) -> None:
        """Count a stream that its proxy, or the connection's loss, has ended; OK is no error."""
        if status is not OK:
            self.stream_errors["to_client", status.label, "Unknown"] += 1


ledger = ClientLedger()
"""The process's own; there is one, since dialers are made from endpoint strings too."""


class TunnelState:
    """The state of one tunnel in the books, from the beginning of its dial until `over`."""

    __slots__ = ("_state", "_tunnels")

    def __init__(self) -> None:
        self._state = CREATED
        self._tunnels = ledger.tunnels
        self._tunnels[CREATED] += 1

    def become(self, state: str) -> None:
        """It is in another state now."""
        if self._state:
            self._tunnels[self._state] -= 1
            self._tunnels[state] += 1
            self._state = state

    def over(self) -> None:
        """It is no more; may be told repeatedly."""
        if self._state:
            self._tunnels[self._state] -= 1
            self._state = ""
