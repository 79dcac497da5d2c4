"""One WATCH of leases: a request that is answered bit by bit, in a thread of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from threading import Lock
from time import monotonic
from typing import Any

from kubernetes.client import CoordinationV1Api
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from konnect_kubernetes.calls import TIMEOUT, Calls
from konnect_kubernetes.failures import ApiFailure, answered, failure_of

QUIET = 60.0
"""
Seconds without an event before a watch is given up as dead. Each proxy renews its lease every 15,
so a watch that is quiet for longer has no proxy to tell of, or nobody at its other end.
"""

LONGEST_LINE = 1 << 20
"""Bytes of one event."""

GONE = 410


class Watch:
    """
    Gives each event, an object with `type` and `object`, to `told` in the reactor's thread.

    :param version: the resource version to begin after.
    :param seconds: when the API server is to end the watch.
    :param answered: told in the reactor's thread why the watch did not begin, or None, and how long
        that took.
    """

    def __init__(
        self,
        api: CoordinationV1Api,
        namespace: str,
        selector: str,
        version: str,
        seconds: int,
        told: Callable[[dict[str, Any]], object],
        calls: Calls,
        answered: Callable[[ApiFailure | None, float], object],
    ) -> None:
        # The client's types do not know that the answer may be left unread.
        self._api: Any = api
        self._namespace = namespace
        self._selector = selector
        self._version = version
        self._seconds = seconds
        self._told = told
        self._calls = calls
        self._answered = answered
        self._lock = Lock()
        self._response: Any = None
        self._abandoned = False
        self._result: Deferred[None] | None = None

    def run(self) -> Deferred[None]:
        """
        Fires when the watch has ended in order or was abandoned; fails with `ApiFailure` (code 410:
        what was before `version` is forgotten).
        """
        result = self._result = self._calls.call(self._read)

        def failed(failure: Failure) -> None:
            if not self._abandoned:
                failure.raiseException()

        return result.addErrback(failed)

    def abandon(self) -> None:
        """End the watch from outside: nothing is told any more, and `run` fires at once."""
        with self._lock:
            self._abandoned = True
            if self._response is not None:
                try:
                    # Wakes the thread, which is waiting in the kernel for the next event.
                    self._response.shutdown()
                except (ValueError, OSError):
                    pass  # it has ended by itself in this moment
        if self._result is not None:
            self._result.cancel()

    # -- in the thread

    def _read(self) -> None:
        begun = monotonic()
        try:
            response = self._api.list_namespaced_lease(
                self._namespace,
                label_selector=self._selector,
                resource_version=self._version,
                allow_watch_bookmarks=True,
                timeout_seconds=self._seconds,
                watch=True,
                _preload_content=False,
                _request_timeout=(TIMEOUT[0], QUIET),
            )
        except Exception as error:
            failure = failure_of(error)
            self._calls.tell(self._answered, failure, monotonic() - begun)
            raise failure from None
        self._calls.tell(self._answered, None, monotonic() - begun)
        with self._lock:
            self._response = response
        try:
            if not self._abandoned:
                for line in _lines(response):
                    self._event(line)
        except Exception:
            if not self._abandoned:
                raise
        finally:
            with self._lock:
                self._response = None
            # Closed and not given back to the client's pool: bytes of this watch may be on their
            # way.
            response.close()

    def _event(self, line: bytes) -> None:
        event = json.loads(line)
        if not isinstance(event, dict) or not isinstance(event.get("object"), dict):
            raise ApiFailure("the API server's watch tells what is no event")
        if event.get("type") == "ERROR":
            status = event["object"]
            code = status.get("code")
            known = isinstance(code, int) and 0 < code < 1000
            raise answered(code if known else 0, json.dumps(status))
        self._calls.tell(self._tell, event)

    def _tell(self, event: dict[str, Any]) -> None:
        if not self._abandoned:
            self._told(event)


def _lines(response: Any) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())
        if len(rest) > LONGEST_LINE:
            raise ApiFailure("the API server's watch tells an event without an end")
