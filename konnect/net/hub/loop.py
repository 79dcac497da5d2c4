"""The hub: an epoll of its own, which is one reader of the stock reactor.

A turn polls, lets each ready channel do its work, and then lets every channel that asked for it
flush: so the small writes of a turn leave together (7 echoes in one TLS record with 16 tunnels,
measured on loopback), and nothing is closed while another channel still works with it. After a
bounded number of turns the stock reactor goes on, so that timers, signals, name lookups and the
admin pages get their share.

It uses nothing of the reactor but addReader, removeReader and callLater, starts when the first
channel comes and closes its epoll when the last has gone. It knows neither sockets nor protocols.
"""

from __future__ import annotations

import select
import time
import weakref
from typing import Any

from twisted.internet import main
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from konnect.log import make_logger
from konnect.net.hub.busy_poll import BusyPoll
from konnect.net.hub.channel import Channel, Unserved
from konnect.net.hub.reads import Reads

log = make_logger(__name__)

IN, OUT, HUNG_UP = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP
BROKEN = select.EPOLLERR | HUNG_UP

TURNS = 64
"""Polls before the stock reactor goes on."""

EVENTS = 32
"""Channels served in one turn. What they write to the other half of konnect leaves at its end: the
fewer they are, the sooner that one has work. 64 echoes over a unix socket came to 1.07 and 1.26
times the rate that 256 gave, over gRPC to 1.16 with 0.61 of the p99, 64 new connections to 1.04 and
1.05 (measured; medians of seven and ten). With 16 and fewer there are too many turns."""

SOME = 4
"""Channels of a turn from which on it looks whether others have become ready meanwhile, and serves
them too before it flushes: what leaves is larger, and the other half of konnect is woken less
often. A turn of 64 echoes over gRPC had 5 of them on the average. They came to 1.18 to 1.26 of the
rate at 0.75 to 0.78 of the CPU for each, over TLS to 1.22, there with 0.70 of the p99; 16 new
connections over a unix socket to 1.06, over gRPC to 0.95 to 0.98 (measured; medians of four to
nine). With 2 the other half waited longer for the first of few."""

ENOUGH = 16
"""Channels of a turn that looks no more."""

LOOKS = 2
"""Looks of one turn for more."""

BRIEF = 200e-6
"""Seconds of a turn after which it looks no more: the work of new connections takes longer than
that of echoes, and TLS handshakes much longer. With 50 us 64 echoes came to 0.87 to 0.95 of the
rate, 16 new connections over gRPC to 0.97 to 1.07 (measured; medians of six to nine)."""

SHARE = 0.02
"""Seconds after which no further turn begins: a turn of TLS handshakes is a long one."""

HANDSHAKES = 16
"""Steps of TLS handshakes in one turn; one with an RSA key costs 1.1 ms (measured)."""


@implementer(IReadDescriptor)
class Hub(Reads):
    """See the module; one for each reactor, from `hub_of`."""

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = weakref.ref(reactor)
        self._epoll: select.epoll | None = None
        self._channels: dict[int, Channel] = {}
        # Descriptors of newcomers since the last poll: its events belong to an earlier owner of the
        # same number.
        self._fresh: set[int] = set()
        self.flushing: list[Channel] = []
        """Who is to flush when the turn ends; see `flush_later`."""
        self.in_turn = False
        self._flush_call: Any = None
        self.busy_poll = BusyPoll()
        self.handshakes = HANDSHAKES

    @property
    def reactor(self) -> Any:
        """The reactor that the hub is a reader of."""
        return self._reactor()

    # -- channels

    def add(self, channel: Channel, mask: int) -> OSError | None:
        """Begin to serve a channel, perhaps in the place of one that had its descriptor; see
        `want`."""
        fd, channels = channel.fd, self._channels
        before = channels.get(fd)
        channels[fd] = channel
        if before is None:
            self._fresh.add(fd)
            channel.mask = 0
        else:
            channel.mask = before.mask
        return self.want(channel, mask)

    def adopt(self, channel: Channel) -> None:
        """`add`, if the descriptor is served at all, and then as it is."""
        before = self._channels.get(channel.fd)
        if before is not None:
            channel.mask = before.mask
            self._channels[channel.fd] = channel

    def want(self, channel: Channel, mask: int) -> OSError | None:
        """
        Say what a channel waits for from now on: IN, OUT, both or 0.

        The kernel may have no room for that: fs.epoll.max_user_watches is reached, or there is no
        descriptor left for the epoll itself. This tells why, and the channel will have `failed`
        when the turn ends: whoever calls, perhaps for another one's channel, need not look.
        """
        before = channel.mask
        if mask == before:
            return None
        channel.mask = mask
        epoll: Any = self._epoll
        try:
            if before:
                if mask:
                    epoll.modify(channel.fd, mask)
                else:
                    epoll.unregister(channel.fd)
            else:
                if epoll is None:
                    epoll = self._start()
                epoll.register(channel.fd, mask)
        except OSError as error:
            channel.mask = before if mask else 0
            self.flush_later(Unserved(channel, error))
            return error
        return None

    def drop(self, channel: Channel) -> None:
        """Forget a channel; call it before the descriptor is closed."""
        fd, channels = channel.fd, self._channels
        if channels.get(fd) is not channel:
            return
        if channel.mask:
            self.want(channel, 0)
        del channels[fd]
        self._fresh.discard(fd)
        if not channels and not self.in_turn:
            self._stop()

    def flush_later(self, channel: Channel) -> None:
        """Call the channel's `flush` when this turn ends, or soon when there is none."""
        self.flushing.append(channel)
        if not self.in_turn:
            call = self._flush_call
            # Whoever empties the reactor, as trial does after each test, cancels it.
            if call is None or not call.active():
                self._flush_call = self.reactor.callLater(0, self._flush_outside)

    def _start(self) -> select.epoll:
        epoll = self._epoll = select.epoll()
        try:
            self.reactor.addReader(self)
        except BaseException:
            self._epoll = None
            epoll.close()
            raise
        return epoll

    def _stop(self) -> None:
        epoll = self._epoll
        if epoll is not None:
            self.reactor.removeReader(self)
            self._epoll = None
            epoll.close()

    # -- turns

    def doRead(self) -> None:
        """Take some turns; see IReadDescriptor."""
        self.in_turn = True
        try:
            busy_poll = self.busy_poll
            ready = self._poll(EVENTS)
            now = busy_poll.woken(ready)
            end = now + SHARE
            for _ in range(TURNS):
                if not ready:
                    break
                self._turn(ready, now + BRIEF)
                now = time.monotonic()
                if now > end or self._epoll is None:
                    break
                ready = self._poll(EVENTS) or busy_poll.poll(self._epoll, EVENTS)
        finally:
            self._leave()

    def _flush_outside(self) -> None:
        self._flush_call = None
        self.in_turn = True
        try:
            self._flush()
        finally:
            self._leave()

    def _leave(self) -> None:
        self.in_turn = False
        if not self._channels:
            self._stop()

    def _poll(self, most: int) -> list[tuple[int, int]]:
        epoll = self._epoll
        return [] if epoll is None else epoll.poll(0, most)

    def _turn(self, ready: list[tuple[int, int]], late: float) -> None:
        self.handshakes = HANDSHAKES
        self._serve(ready)
        served, looks = len(ready), LOOKS
        while looks and SOME <= served < ENOUGH and time.monotonic() <= late:
            ready = self._poll(EVENTS - served)
            self._serve(ready)
            served += len(ready)
            looks = looks - 1 if ready else 0
        self._flush()

    def _serve(self, ready: list[tuple[int, int]]) -> None:
        channels, fresh = self._channels, self._fresh
        fresh.clear()
        for fd, events in ready:
            channel = channels.get(fd)
            if channel is None or fd in fresh:
                continue
            try:
                channel.handle(events)
            except BaseException as error:
                self.contain(channel, error)

    def _flush(self) -> None:
        while self.flushing:
            flushing, self.flushing = self.flushing, []
            for channel in flushing:
                try:
                    channel.flush()
                except BaseException as error:
                    self.contain(channel, error)

    def contain(self, channel: Channel, error: BaseException) -> None:
        """Log a mistake once and let it end the one channel where it was made."""
        self.complain(error)
        try:
            # Without the traceback, whose frames would keep the connection alive.
            channel.failed(error.with_traceback(None))
        except BaseException as second:
            self.complain(second)

    def complain(self, error: BaseException) -> None:
        """Log a mistake of ours or of a protocol's."""
        log.failure("an error in a connection's protocol ends it", Failure(error))

    # -- as one of the reactor's readers

    def fileno(self) -> int:
        """See IFileDescriptor."""
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        """See ILoggingContext."""
        return "hub"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor is being emptied (as trial does after each test): let go of everything."""
        for channel in list(self._channels.values()):
            try:
                channel.failed(main.CONNECTION_LOST)
            except BaseException as error:
                self.complain(error)
        self._channels.clear()
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None


_hubs: weakref.WeakKeyDictionary[Any, Hub] = weakref.WeakKeyDictionary()


def hub_of(reactor: Any) -> Hub:
    """The one hub of a reactor (or of a `HubReactor` over it)."""
    reactor = getattr(reactor, "stock", reactor)
    hub = _hubs.get(reactor)
    if hub is None:
        hub = _hubs[reactor] = Hub(reactor)
    return hub
