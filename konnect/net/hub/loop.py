"""The hub: an epoll of its own, which is one reader of the stock reactor.

A turn polls, lets each ready channel do its work, and then lets every channel that asked for it
flush: so the small writes of a turn leave together (7 echoes in one TLS record with 16 tunnels,
measured on loopback), and nothing is closed while another channel still works with it. When nothing
is ready it does what was put off (`konnect.net.hub.leisure`). After a bounded number of turns the
stock reactor goes on, so that timers, signals, name lookups and the
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
from konnect.net.hub.leisure import CROWD, Leisure
from konnect.net.hub.reads import Reads
from konnect.net.hub.turn_sizes import (
    BRIEF,
    ENOUGH,
    EVENTS,
    HANDSHAKES,
    LOOKS,
    SHARE,
    SOME,
    TURNS,
)

log = make_logger(__name__)

IN, OUT, HUNG_UP = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP
BROKEN = select.EPOLLERR | HUNG_UP


@implementer(IReadDescriptor)
class Hub(Reads, Leisure):
    """See the module; one for each reactor, from `hub_of`."""

    def __init__(self, reactor: Any) -> None:
        Reads.__init__(self)
        Leisure.__init__(self)
        self._reactor = weakref.ref(reactor)
        self._epoll: select.epoll | None = None
        self._channels: dict[int, Channel] = {}
        # Descriptors of newcomers since the last poll: its events belong to an earlier owner of the
        # same number.
        self._fresh: set[int] = set()
        self.flushing: list[Channel] = []
        """Who is to flush when the turn ends; see `flush_later`."""
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
                ready = self._poll(EVENTS)
                if not ready and self.waiting:
                    ready = self._at_leisure()
                if not ready:
                    ready = busy_poll.poll(self._epoll, EVENTS)
        finally:
            self._leave()

    def _flush_outside(self) -> None:
        self._flush_call = None
        self.in_turn = True
        try:
            self._flush()
        finally:
            self._leave()

    def _at_leisure(self) -> list[tuple[int, int]]:
        """What has become ready while what was put off was done, or when all of it is."""
        while True:
            self.do_some()
            if not self.waiting:
                self._flush()
            ready = self._poll(EVENTS)
            if ready or not self.waiting:
                return ready  # what was written leaves with that turn

    def _leave(self) -> None:
        while self.waiting:
            self.do_some()
            self._flush()
        self.in_turn = False
        if not self._channels:
            self._stop()

    def _poll(self, most: int) -> list[tuple[int, int]]:
        epoll = self._epoll
        return [] if epoll is None else epoll.poll(0, most)

    def _turn(self, ready: list[tuple[int, int]], late: float) -> None:
        self.handshakes = HANDSHAKES
        served, looks = len(ready), LOOKS
        if served >= SOME:
            self.crowd = CROWD
        elif self.crowd:
            self.crowd -= 1
        self._serve(ready)
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
