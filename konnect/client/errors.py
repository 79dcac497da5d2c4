"""Why a dial through a proxy failed, as exceptions.

Each carries `reason`, the label that upstream's client library gives to the same event, and its
text is what that library says where it has a text of its own. All are Twisted's `ConnectError` too,
so that programs that only know endpoints need not know these.
"""

from __future__ import annotations

from typing import ClassVar

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError


class DialFailed(ConnectError):
    """
    A dial that came to nothing. Raised itself for what has no class of its own (`unknown`): a proxy
    that answers with nonsense.
    """

    reason: ClassVar[str] = "unknown"

    def __init__(self, text: str) -> None:
        super().__init__(string=text)
        self.text = text

    def __str__(self) -> str:
        return self.text


class EndpointFailed(DialFailed):
    """The proxy answered that there is no tunnel; the text is the agent's or the proxy's."""

    reason = "endpoint"


class ConnectRefused(EndpointFailed):
    """A proxy spoken to by CONNECT answered with another status than 200."""

    def __init__(self, status: int, phrase: str, body: str = "") -> None:
        line = f"{status} {phrase}".strip()
        super().__init__(f"{line}: {body}" if body else line)
        self.status = status
        """The HTTP status."""
        self.status_line = line
        """The status and its phrase, as the proxy sent it."""
        self.body = body
        """What the proxy said about it; often the text of the agent's dial error."""


class DialClosed(DialFailed):
    """The agent gave the dial up (DIAL_CLS)."""

    reason = "dialclosed"

    def __init__(self, text: str = "dial closed") -> None:
        super().__init__(text)


class DialTimeout(DialFailed):
    """The proxy was reached and asked, but did not answer in time."""

    reason = "timeout"

    def __init__(self, text: str = "dial timeout, backstop") -> None:
        super().__init__(text)


class DialCancelled(DialFailed, CancelledError):
    """The caller cancelled the dial."""

    reason = "context"

    def __init__(self, *, asked: bool = False) -> None:
        super().__init__("dial timeout, context")
        self.asked = asked
        """Whether the proxy had been asked for the tunnel."""


class TunnelClosed(DialFailed):
    """The connection to the proxy, or the stream of this dial, ended before the answer came."""

    reason = "tunnelclosed"

    def __init__(self, text: str = "") -> None:
        super().__init__(f"tunnel closed: {text}" if text else "tunnel closed")


class StreamSetupFailed(DialFailed):
    """The proxy could not be reached, or it took no stream: nothing was asked of it."""

    reason = "streamsetup"
