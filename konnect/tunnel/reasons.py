"""Why a dial failed or a tunnel ended: the one enumeration.

Each reason is mapped here, and only here, to the text a client is told, the HTTP status of a failed
CONNECT, upstream's metric label for a failed dial, and (its own name) our metric label and log
field.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reason looks like from outside."""

    text: str
    """Default text for DIAL_RSP, CONNECT bodies and logs; an agent's own text goes before it."""
    status: int = 502
    """HTTP status of a CONNECT whose dial failed so."""
    dial_failure: str | None = None
    """Label of upstream's `dial_failure_count`; None: upstream does not count it."""
    abortive: bool = False
    """Whether an open tunnel that ends so is aborted (RST) rather than closed (FIN)."""


class Reason(enum.Enum):
    """Why. `reason.value` is its meaning, whose parts are also attributes of the reason."""

    # Dials that the destination or the agent's network refused; the agent's text says more.
    REFUSED = Meaning("connection refused", 502, "error_response")
    NO_SUCH_HOST = Meaning("no such host", 502, "error_response")
    UNREACHABLE = Meaning("destination unreachable", 502, "error_response")
    DESTINATION_TIMEOUT = Meaning("i/o timeout", 504, "error_response")
    TOO_MANY_FILES = Meaning("too many open files", 503, "error_response")
    OUT_OF_RESOURCES = Meaning("the agent is out of resources", 503, "error_response")
    DIAL_ERROR = Meaning("dial failed", 502, "error_response")
    # Dials that never reached a destination.
    NO_AGENT = Meaning("No agent available", 500, "no_agent")
    BACKEND_TIMEOUT = Meaning("timed out waiting for backend dial", 504, "backend_dial_timeout")
    AGENT_LOST = Meaning("the agent's connection was lost", 502, "backend_close", abortive=True)
    DIAL_CLOSED = Meaning("the agent closed the dial", 502, "backend_close")
    CLIENT_LEFT = Meaning("the client left during the dial", 502, "frontend_close")
    CLIENT_GONE = Meaning("the client could not be told of the dial's success", 502, "send_rsp")
    # How an open tunnel ends.
    CLIENT_CLOSED = Meaning("the client closed the connection")
    CLIENT_LOST = Meaning("the client's connection was lost", abortive=True)
    DESTINATION_CLOSED = Meaning("the destination closed the connection")
    DESTINATION_LOST = Meaning("the destination's connection was lost", abortive=True)
    STALLED = Meaning("nothing was read for too long, and others had to wait", abortive=True)
    OVERLOADED = Meaning("too many bytes are waiting for slow readers", 503, "backend_close")
    PROXY_LOST = Meaning("the proxy's connection was lost", abortive=True)
    LINGER = Meaning("the other side did not close in time", abortive=True)
    PROTOCOL = Meaning("the peer broke the protocol", abortive=True)
    SHUTDOWN = Meaning("shutting down", 503, "backend_close", abortive=True)

    def __init__(self, meaning: Meaning) -> None:
        # Plain attributes: each property of an enumeration's member is a lookup by name in Python,
        # and every tunnel asks for some.
        self.label: str = self._name_.lower()
        """Metric label and log field."""
        self.text: str = meaning.text
        """The default text."""
        self.status: int = meaning.status
        """HTTP status for a CONNECT that failed for this reason."""
        self.dial_failure: str | None = meaning.dial_failure
        """Upstream's `dial_failure_count` label."""
        self.abortive: bool = meaning.abortive
        """Whether an open tunnel that ends so is aborted rather than closed."""


# Upstream's order and substrings for turning an agent's error text into a status; first match wins.
_BY_TEXT: tuple[tuple[str, Reason], ...] = (
    ("i/o timeout", Reason.DESTINATION_TIMEOUT),
    ("deadline exceeded", Reason.DESTINATION_TIMEOUT),
    ("timeout", Reason.DESTINATION_TIMEOUT),
    ("too many open files", Reason.TOO_MANY_FILES),
    ("connection refused", Reason.REFUSED),
    ("network is unreachable", Reason.UNREACHABLE),
    ("no route to host", Reason.UNREACHABLE),
    ("host is unreachable", Reason.UNREACHABLE),
    ("network is down", Reason.UNREACHABLE),
    ("no such host", Reason.NO_SUCH_HOST),
    ("name resolution", Reason.NO_SUCH_HOST),
    ("waiting for slow readers", Reason.OVERLOADED),
)

CLIENT_CLOSED, CLIENT_LOST = Reason.CLIENT_CLOSED, Reason.CLIENT_LOST
"""By these names they cost less: see `konnect.tunnel.tunnel.OPEN`."""

FAULTS = frozenset({Reason.TOO_MANY_FILES, Reason.OUT_OF_RESOURCES, Reason.OVERLOADED})
"""Of an agent that itself cannot dial: another may be able to."""

_NO_SOCKET = {
    ": socket: too many open files": Reason.TOO_MANY_FILES,
    ": socket: too many open files in system": Reason.TOO_MANY_FILES,
    ": socket: no buffer space available": Reason.OUT_OF_RESOURCES,
    ": socket: cannot allocate memory": Reason.OUT_OF_RESOURCES,
}
"""How Go's dial errors end when there could be no socket: nothing was sent yet."""


_BY_LABEL = {reason.label: reason for reason in Reason}


def from_label(label: str) -> Reason | None:
    """The reason with this label (what a konnect peer writes into a CLOSE_RSP); None if unknown."""
    return _BY_LABEL.get(label)


def own_fault(error: str, label: str) -> Reason | None:
    """
    Why the agent itself could not dial; None if it was the destination that failed, or may be.

    :param error: the text of a DIAL_RSP, which is all that stock agents say.
    :param label: its `fault`, which konnect agents fill.
    """
    if label:
        reason = from_label(label)
        return reason if reason in FAULTS else classify(error)
    return next((reason for end, reason in _NO_SOCKET.items() if error.endswith(end)), None)


def classify(error: str) -> Reason:
    """The reason behind an agent's dial error text (upstream's substrings, case-insensitive)."""
    lowered = error.lower()
    for words, reason in _BY_TEXT:
        if words in lowered:
            return reason
    return Reason.DIAL_ERROR
