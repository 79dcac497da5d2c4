"""HTTP/1.x CONNECT, the client's side: the request, and the proxy's answer from any split.

Sans-IO. Any HTTP/1.x proxy's answers are understood, not only ours. A refusal's body is read up to
its length or the end of the connection; chunked bodies are not decoded, since it is only a text for
people. The proxy's side is `konnect.wire.connect`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from konnect.wire.http_head import (
    HeadBuffer,
    Headers,
    HeadTooLarge,
    MalformedHead,
    values,
)

MAX_BODY = 65536
"""Bytes kept of a refusal's body."""

MAX_INTERIM = 100
"""Most interim answers before the final one."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] +([1-9][0-9]{2})(?: +([^\x00-\x08\x0a-\x1f\x7f]*))?")
_UNFIT = re.compile(r"[\x00-\x20\x7f/?#@]")


class BadResponse(ValueError):
    """What the proxy answered is no answer to a CONNECT; the text says what it was instead."""


@dataclass(frozen=True, slots=True)
class ConnectResponse:
    """The head of a final answer."""

    status: int
    reason: str
    headers: Headers
    rest: bytes
    """What came behind the head: the tunnel's first bytes, or the beginning of a refusal's body."""

    @property
    def established(self) -> bool:
        """Whether the tunnel is open (any 2xx: RFC 9110 §9.3.6)."""
        return 200 <= self.status < 300


def request(
    address: str,
    *,
    host: str = "127.0.0.1",
    user_agent: str | None = None,
    authorization: str | None = None,
) -> bytes:
    """
    The request for a tunnel to `address`: `name:port`, `1.2.3.4:port`, `[fe80::1%eth0]:port`.

    :param host: the Host header; proxies do not look at it, and upstream's clients send this one.
    :param authorization: Proxy-Authorization, for HTTP proxies that demand it.
    :raises ValueError: when the address is empty or could be read as more than a destination.
    """
    if not address or _UNFIT.search(address):
        raise ValueError(f"not an address that CONNECT can carry: {address!r}")
    lines = [
        f"CONNECT {address.replace('%', '%25')} HTTP/1.1",
        f"Host: {_field_value(host)}",
    ]
    if user_agent is not None:
        lines.append(f"User-Agent: {_field_value(user_agent)}")
    if authorization is not None:
        lines.append(f"Proxy-Authorization: {_field_value(authorization)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


def _field_value(text: str) -> str:
    if any(character < " " or character == "\x7f" for character in text):
        raise ValueError(f"not a header value: {text!r}")
    return text


class ResponseReader:
    """Reads the answer's head; interim answers (1xx) are skipped. Linear, bounded by MAX_HEAD."""

    def __init__(self) -> None:
        self._buffer = HeadBuffer()
        self._received = 0
        self._interim = 0

    def receive(self, data: bytes) -> ConnectResponse | None:
        """
        Take bytes as they were read; the answer as soon as its head is whole, else None.

        :raises BadResponse: at once when it cannot become an answer.
        """
        self._received += len(data)
        while True:
            self._buffer.append(data)
            try:
                response = self._judge()
            except (HeadTooLarge, MalformedHead) as error:
                raise BadResponse(f"the proxy's answer is no HTTP: {error}") from None
            if response is None or response.status >= 200:
                return response
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise BadResponse("the proxy sent interim answers without end")
            self._buffer = HeadBuffer()
            data = response.rest

    def ended(self) -> BadResponse:
        """What it means that the proxy closed the connection before a whole answer."""
        if not self._received:
            return BadResponse("the proxy closed the connection without an answer")
        return BadResponse(
            f"the proxy closed the connection within its answer, after {self._received} bytes"
        )

    def _judge(self) -> ConnectResponse | None:
        start = self._buffer.start
        if not b"HTTP/1.".startswith(start[:7]):
            raise BadResponse(_foreign_answer(start))
        line = self._buffer.first_line()
        if line is not None and not self._buffer.judged:
            if not _STATUS_LINE.fullmatch(line):
                raise BadResponse("the proxy's answer is no HTTP: malformed status line")
            self._buffer.judged = True
        taken = self._buffer.take()
        if taken is None or line is None:
            return None
        match = _STATUS_LINE.fullmatch(line)
        assert match is not None
        headers, rest = taken
        reason = (match[2] or b"").decode("utf-8", "replace").strip()
        return ConnectResponse(int(match[1]), reason, headers, rest)


def _foreign_answer(start: bytes) -> str:
    if start[:1] in (b"\x15", b"\x16"):
        return "the proxy answered with TLS: its port wants TLS"
    if start[:1] == b"\x00":
        # A SETTINGS frame, the first that an HTTP/2 server sends, begins with a length under 2^16.
        return "the proxy answered in binary (HTTP/2?): its port does not speak HTTP CONNECT"
    return f"the proxy's answer is no HTTP: it begins with {start!r}"


class RefusalBody:
    """Collects a refusal's body: up to its Content-Length, MAX_BODY, or the connection's end."""

    def __init__(self, response: ConnectResponse) -> None:
        self._body = bytearray()
        self._wanted = MAX_BODY
        lengths = values(response.headers, "content-length")
        if lengths and lengths[0].isascii() and lengths[0].isdigit():
            self._wanted = min(int(lengths[0][:10]), MAX_BODY)
        self.receive(response.rest)

    @property
    def complete(self) -> bool:
        """Whether no more is wanted; otherwise the body ends with the connection."""
        return len(self._body) >= self._wanted

    @property
    def text(self) -> str:
        """What there is, as text without the white space around it."""
        return self._body.decode("utf-8", "replace").strip()

    def receive(self, data: bytes) -> bool:
        """Take bytes; True when the body is complete. What is over its end is dropped."""
        self._body += data[: self._wanted - len(self._body)]
        return self.complete
