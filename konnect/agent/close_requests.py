"""Tunnels whose clients have left: they are ended when the agent has nothing else to do.

In one read an agent is told of those that end and of new dials, whose clients wait. To end one, and
to close its socket, takes as long as a dial: see `konnect.net.hub.leisure`.
"""

from __future__ import annotations

from collections.abc import Callable

AT_ONCE = 4
"""Ends between two looks for what else is to be done."""

MOST = 256
"""Ends that wait. With one more, all are made: a read may bring thousands."""

Request = tuple[int, str]
"""A CLOSE_REQ: connectID and error."""


class CloseRequests:
    """
    Those of one link.

    :param put_off: see `konnect.net.grpc_stream.GrpcStream.put_off`.
    :param end: does what one asks for.
    """

    def __init__(
        self, put_off: Callable[[Callable[[], object]], bool], end: Callable[[Request], object]
    ) -> None:
        self._put_off = put_off
        self._end = end
        self._waiting: list[Request] = []

    def add(self, request: Request) -> None:
        """One has come. Those of one tunnel, of which a proxy sends one, stay in their order."""
        waiting = self._waiting
        if not waiting and not self._put_off(self._some):
            self._end(request)
            return
        waiting.append(request)
        if len(waiting) > MOST:
            self.all()

    def all(self) -> None:
        """Do what all of them ask for, now."""
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._end(request)

    def _some(self) -> None:
        some, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
        for request in some:
            self._end(request)
        if self._waiting and not self._put_off(self._some):
            self.all()
