"""An agent's stream between its opening and the verdict on the agent's token."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from konnect.log import make_logger
from konnect.net.grpc_stream import GrpcStream, Metadata, StreamListener
from konnect.wire.status import Status
from konnect.wire.token_review import TokenRefused

log = make_logger(__name__)


class Guest:
    """
    Listens to the stream while its agent waits, and then gives it to the link.

    An agent has nothing to say before the proxy has introduced itself, so a packet ends the stream:
    what nobody has admitted cannot make the proxy hold bytes for it.

    :param verdict: fires when the agent is admitted, or fails with `TokenRefused`.
    :param admit: makes the link.
    :param refuse: ends the stream with a status and a text.
    """

    def __init__(
        self,
        stream: GrpcStream,
        verdict: Deferred[None],
        *,
        admit: Callable[[], StreamListener],
        refuse: Callable[[GrpcStream, Status, str], None],
    ) -> None:
        self._stream = stream
        self._verdict = verdict
        self._admit = admit
        self._refuse = refuse
        self.listener: StreamListener | None = self
        """What listens to the stream now: this, the link, or nothing when it is over."""
        verdict.addCallbacks(self._admitted, self._refused)
        verdict.addErrback(self._broke)

    def _admitted(self, _: None) -> None:
        self.listener = self._stream.listener = self._admit()

    def _refused(self, failure: Failure) -> None:
        self.listener = None
        error = failure.value
        if isinstance(error, TokenRefused):
            self._refuse(self._stream, error.status, str(error))
        else:
            # Cancelled: the agent is gone already.
            failure.trap(CancelledError)

    def _broke(self, failure: Failure) -> None:
        log.failure("an agent's admission broke", failure)
        self._refuse(self._stream, Status.INTERNAL, "the proxy's admission broke")

    def _leave(self) -> None:
        self.listener = None
        self._verdict.cancel()

    # -- the stream's listener

    def headers(self, metadata: Metadata) -> None:
        """Only clients receive headers."""

    def message(self, payload: bytes, cost: int) -> None:
        self._stream.acknowledge(cost)
        self._leave()
        self._refuse(
            self._stream, Status.FAILED_PRECONDITION, "a packet was sent before the proxy's hello"
        )

    def half_closed(self) -> None:
        self._leave()
        self._stream.end()

    def ended(self, status: Status, text: str, reset: bool) -> None:
        self._leave()

    def writable(self) -> None:
        """Nothing is sent before the link is there."""
