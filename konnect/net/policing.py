"""Pings that come too often: a server ends the connections of peers whose keepalive is too eager.

grpc's rule, with upstream's numbers: pings have to be `min_time` apart, or two hours when no stream
is open and the listener wants no pings then. A ping that comes sooner is a strike. Anything that we
send clears the strikes, since peers measure the path with pings while data flows. With the third
strike in a row the connection ends: the peer is told GOAWAY(ENHANCE_YOUR_CALM, "too_many_pings"),
upon which grpc's clients double their keepalive time, and so does our agent.
"""

from __future__ import annotations

from dataclasses import dataclass

TOO_MANY_PINGS = b"too_many_pings"
"""The GOAWAY's debug data, which clients look for."""

STRIKES = 2
"""Pings in a row that may come too early."""

SLACK = 0.9
"""Part of `min_time` after which a ping is not early: timers and networks are not exact."""

WITHOUT_STREAMS = 7200.0
"""Seconds between pings of a peer that has no stream, where it is not to ping without one."""


@dataclass(frozen=True, slots=True)
class PingRules:
    """What a listener allows; `min_time` in seconds."""

    min_time: float
    without_streams: bool


AGENTS = PingRules(30.0, without_streams=True)
CLIENTS = PingRules(300.0, without_streams=False)


class PingPolice:
    """One connection's watch."""

    __slots__ = ("_last", "_rules", "_sent", "_strikes")

    def __init__(self, rules: PingRules) -> None:
        self._rules = rules
        self._last: float | None = None
        self._strikes = 0
        self._sent = 0

    def too_many(self, now: float, sent: int, streams: int) -> bool:
        """
        A ping has come: is it one too many?

        :param now: the clock, in seconds.
        :param sent: bytes of DATA that we have sent so far.
        :param streams: how many are open.
        """
        rules = self._rules
        last, self._last = self._last, now
        more, self._sent = sent > self._sent, sent
        wait = rules.min_time if streams or rules.without_streams else WITHOUT_STREAMS
        if more:
            self._strikes = 0
        elif last is not None and now - last < wait * SLACK:
            self._strikes += 1
        return self._strikes > STRIKES
