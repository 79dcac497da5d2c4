"""How fast an API server may be asked: so many requests a second, some at once above that, and none
while it asks for a pause.

The official client for Go holds its users to such a rate, and upstream's flags `--kubeconfig-qps`
and `--kubeconfig-burst` set it. The client for Python does not, so it is done here. Both clients
wait as `Retry-After` says, without an end and in the thread that asks; here the others wait too.
"""

from __future__ import annotations

from collections import OrderedDict
from math import inf

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

DEFAULT_RATE = 5.0
"""What client-go allows where nothing is said."""
DEFAULT_BURST = 10

LONGEST_HOLD = 10.0
"""Seconds of a pause, whatever the API server asks for: a lease has 15 from one renewal to its end,
and an agent waits 15 for its admission."""


class Allowance:
    """
    Gives out turns, in the order in which they were asked for.

    :param rate: turns in a second; 0: `DEFAULT_RATE`. Below 0: as many as are asked for.
    :param burst: turns at once after a rest; 0 or less: `DEFAULT_BURST`.
    """

    def __init__(self, clock: IReactorTime, rate: float, burst: int) -> None:
        self._clock = clock
        self._rate = rate or DEFAULT_RATE
        self._burst = burst if burst > 0 else DEFAULT_BURST
        self._saved = float(self._burst)
        self._saved_at = clock.seconds()
        self._held_until = 0.0
        self._lifted = False
        # A dict for its order: who gives up is taken out of the middle.
        self._waiting: OrderedDict[Deferred[None], None] = OrderedDict()
        self._timer: IDelayedCall | None = None

    def turn(self) -> Deferred[None]:
        """Fires when it is the caller's turn; who cancels it costs the others nothing."""
        waiting: Deferred[None] = Deferred(self._given_up)
        self._waiting[waiting] = None
        self._go_on()
        return waiting

    def hold(self, seconds: float) -> None:
        """Give no turn for so long: the API server asks for it."""
        if not self._lifted:
            until = self._clock.seconds() + min(seconds, LONGEST_HOLD)
            self._held_until = max(self._held_until, until)
            self._no_timer()
            self._go_on()

    def lift(self) -> None:
        """Hold nobody up any more: the program is stopping, and what is left to do is little."""
        self._lifted, self._rate, self._held_until = True, -1.0, 0.0
        self._no_timer()
        self._go_on()

    def _given_up(self, waiting: Deferred[None]) -> None:
        self._waiting.pop(waiting, None)
        if not self._waiting:
            self._no_timer()

    def _no_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self) -> None:
        now = self._clock.seconds()
        if self._rate < 0:
            self._saved = inf
        else:
            self._saved = min(self._saved + (now - self._saved_at) * self._rate, float(self._burst))
        self._saved_at = now
        while self._waiting and self._saved >= 1 and self._held_until <= now:
            self._saved -= 1
            waiting, _ = self._waiting.popitem(last=False)
            waiting.callback(None)
        if self._waiting and self._timer is None:
            wait = self._held_until - now
            if self._rate > 0:
                wait = max(wait, (1 - self._saved) / self._rate)
            # A little late rather than early: a float's rounding must not make a round of its own.
            self._timer = self._clock.callLater(wait + 1e-6, self._due)

    def _due(self) -> None:
        self._timer = None
        self._go_on()
