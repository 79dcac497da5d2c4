"""Requests in threads of their own: the official client blocks, and the reactor must not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Thread
from time import monotonic
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from konnect_kubernetes.failures import ApiFailure, failure_of

T = TypeVar("T")

TIMEOUT = (3.0, 5.0)
"""Seconds for the connection, and for each wait for something to read."""

WITHIN = 8.0
"""Seconds for a whole answer, however it comes."""

LARGEST = 16 << 20
"""Bytes of an answer."""

STOP_WITHIN = 3.0
"""Seconds that a stop waits for requests that are under way."""


def read_answer(response: Any) -> bytes:
    """The body of an answer that the client has left unread. Raises `ApiFailure` for one that is
    too large or takes too long; its connection is then closed."""
    deadline = monotonic() + WITHIN
    body = bytearray()
    try:
        while data := response.read1(65536):
            body += data
            if len(body) > LARGEST:
                raise ApiFailure(f"the API server's answer is larger than {LARGEST} bytes")
            if monotonic() > deadline:
                raise ApiFailure("no whole answer from the API server in time")
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return bytes(body)


class Calls:
    """
    Makes requests, at most `threads` at a time.

    There is no queue: a thread that hangs would fill it. Whoever asks for more gets a failure.
    """

    def __init__(self, reactor: Any, threads: int, name: str) -> None:
        self._reactor = reactor
        self._threads = threads
        self._pool = ThreadPool(0, threads, name)
        # A request that hangs must not keep the process from ending.
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
        self._busy = 0
        self._results: set[Deferred[Any]] = set()
        self._stopped = False

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> Deferred[T]:
        """
        Call `function` in a thread; fails with `ApiFailure`.

        Cancelling gives the result up; the thread is free when `function` returns.
        """
        result: Deferred[T]
        if self._stopped or self._busy >= self._threads:
            result = Deferred()
            why = "the program is stopping" if self._stopped else "all its threads are busy"
            result.errback(ApiFailure(f"the API server was not asked: {why}"))
            return result
        if not self._pool.started:
            self._pool.start()
        self._busy += 1

        def run() -> T:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                raise failure_of(error) from None
            finally:
                self._reactor.callFromThread(self._returned)

        result = deferToThreadPool(self._reactor, self._pool, run)
        self._results.add(result)
        result.addBoth(self._settled, result)
        return result

    def tell(self, function: Callable[..., object], *args: Any) -> None:
        """From a thread: call `function` in the reactor's, unless all is over by then."""
        self._reactor.callFromThread(self._pass_on, function, *args)

    def _pass_on(self, function: Callable[..., object], *args: Any) -> None:
        if not self._stopped:
            function(*args)

    def _returned(self) -> None:
        self._busy -= 1

    def _settled(self, outcome: Any, result: Deferred[Any]) -> Any:
        self._results.discard(result)
        if self._stopped and isinstance(outcome, Failure) and outcome.check(CancelledError):
            raise ApiFailure("the request was given up: the program is stopping")
        return outcome

    def stop(self) -> Deferred[None]:
        """
        Make no more requests and give up those under way; fires when their threads have ended, or
        after `STOP_WITHIN`. Never fails.
        """
        stopped: Deferred[None] = Deferred()
        self._stopped = True
        for result in list(self._results):
            result.cancel()
        if not self._pool.started:
            stopped.callback(None)
            return stopped

        def join() -> None:
            self._pool.stop()
            self._reactor.callFromThread(joined)

        def joined() -> None:
            if not stopped.called:
                stopped.callback(None)

        # The pool's stop waits for its threads, so it must not be called in the reactor's.
        Thread(target=join, daemon=True).start()
        stopped.addTimeout(STOP_WITHIN, self._reactor)
        return stopped.addErrback(lambda _: None)
