"""The writing half of a tunnel's transport: bytes cut into packets, and who produces them.

What the stream does not take waits here. As on Twisted's own transports, a registered push producer
is paused meanwhile, a pull producer is asked only while there is room, and without a producer the
buffer has no bound. Closing is decided by the transport; `idle` says when all has been handed over.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IProducer, IPushProducer, IReactorTime

CHUNK = 65536
"""Most payload bytes of one DATA packet."""


class Output:
    """
    Gives `send` at most `CHUNK` bytes at a time, until it answers False; `room()` undoes that.

    :param guard: calls what it is given, and keeps what that raises from whoever called us: a
        producer is told things from places that others share.
    """

    def __init__(
        self,
        send: Callable[[bytes], bool],
        clock: IReactorTime,
        guard: Callable[[Callable[[], object]], None],
    ) -> None:
        self._send = send
        self._clock = clock
        self._guard = guard
        self._pending = bytearray()
        self._room = True
        self._draining = False
        self._producer: IProducer | None = None
        self._streaming = False
        self._paused = False
        self._pull_call: IDelayedCall | None = None

    def write(self, data: bytes) -> None:
        """Send `data`, or keep what there is no room for."""
        if not self._pending and self._room and len(data) <= CHUNK:
            self._room = self._send(data)
        else:
            self._pending += data
            self._drain()
        self._pause()

    def room(self) -> None:
        """The stream takes more again."""
        self._room = True
        self._drain()
        if not self._room:
            self._guard(self._pause)
        elif self._paused:
            self._paused = False
            self._guard(self._produce)
        else:
            self._pull_later()

    @property
    def idle(self) -> bool:
        """Nothing waits here, and no producer is due to write more."""
        if self._pending:
            return False
        return self._producer is None or (self._streaming and not self._paused)

    def register(self, producer: IProducer, streaming: bool) -> None:
        """See IConsumer.registerProducer. Raises RuntimeError when there is a producer already."""
        if self._producer is not None:
            raise RuntimeError(
                f"Cannot register producer {producer}, because producer {self._producer}"
                " was never unregistered."
            )
        self._producer = producer
        self._streaming = streaming
        self._pause()
        self._pull_later()

    def unregister(self) -> None:
        """See IConsumer.unregisterProducer."""
        self._producer = None
        self._paused = False
        self._cancel_pull()

    def stop(self) -> None:
        """The transport is gone: drop what waits, and tell the producer."""
        self._pending.clear()
        self._cancel_pull()
        producer, self._producer = self._producer, None
        if producer is not None:
            self._guard(producer.stopProducing)

    def _drain(self) -> None:
        # A write can come while `send` runs: it has to queue behind what is being sent.
        if self._draining:
            return
        self._draining = True
        pending = self._pending
        while pending and self._room:
            chunk = bytes(pending[:CHUNK])
            del pending[:CHUNK]
            self._room = self._send(chunk)
        self._draining = False

    def _pause(self) -> None:
        if self._room or self._paused or not self._streaming or self._producer is None:
            return
        self._paused = True
        IPushProducer(self._producer).pauseProducing()

    def _pull_later(self) -> None:
        # One pull a turn: a producer that always has more must not keep the reactor.
        if self._producer is None or self._streaming or self._pull_call is not None:
            return
        if self._room:
            self._pull_call = self._clock.callLater(0, self._pull)

    def _pull(self) -> None:
        self._pull_call = None
        self._guard(self._produce)
        self._pull_later()

    def _produce(self) -> None:
        assert self._producer is not None
        self._producer.resumeProducing()  # type: ignore[attr-defined]

    def _cancel_pull(self) -> None:
        if self._pull_call is not None:
            self._pull_call.cancel()
            self._pull_call = None
