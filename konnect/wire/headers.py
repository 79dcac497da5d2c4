"""The header blocks of gRPC over HTTP/2: making ours, reading the peer's.

Received blocks are checked here rather than by h2, for two reasons: h2 ends the whole connection
for one bad block where RFC 9113 section 8.1.1 asks for the end of one stream; and it refuses values
with a space at an end, which stock agents send (an empty token is `Bearer ` and nothing more). The
decoded size of a block is limited by h2, before it comes here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from konnect.wire.events import Metadata, StreamOpened
from konnect.wire.status import Status, decode_message, encode_message, from_http, from_text

HeaderBlock = list[tuple[bytes, bytes]]

CONTENT_TYPE = b"application/grpc"
_GRPC = re.compile(r"application/grpc([+;].*)?", re.DOTALL | re.IGNORECASE)

# RFC 9113 section 8.2.1: no upper case, no controls, no space, no colon; values without NUL, CR and
# LF.
_NAME = re.compile(rb"[\x21-\x39\x3b-\x40\x5b-\x7e]+")
_BAD_IN_VALUE = re.compile(rb"[\x00\r\n]")
_CONNECTION_SPECIFIC = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_REQUEST_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path"})
_RESPONSE_PSEUDO = frozenset({b":status"})
_NO_PSEUDO: frozenset[bytes] = frozenset()
_STATUS = re.compile(r"[1-9][0-9]{2}")

# What belongs to gRPC itself is not shown as metadata.
_OWN = frozenset({"te", "content-type", "grpc-status", "grpc-message", "grpc-encoding"})


class MalformedHeaders(Exception):
    """The block breaks RFC 9113 section 8: a stream error, PROTOCOL_ERROR."""


@dataclass(frozen=True, slots=True)
class Request:
    """A gRPC request."""

    path: str
    authority: str
    metadata: Metadata
    encoding: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is HTTP, but no gRPC: what to answer."""

    http_status: int
    status: Status
    message: str


@dataclass(frozen=True, slots=True)
class RequestRead:
    """The block that opened a stream, read."""

    stream_id: int
    ended: bool
    """Whether nothing follows it."""
    opened: StreamOpened | None = None
    """What is told of it; made once, however many connections say the same."""
    encoding: str = ""
    refusal: Refusal | None = None
    """Without one and nothing to be told, it breaks RFC 9113 section 8."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the server ended a stream."""

    status: Status
    message: str


@dataclass(frozen=True, slots=True)
class Response:
    """The beginning of a gRPC response."""

    metadata: Metadata
    encoding: str


def request(path: str, authority: str, scheme: str, metadata: Metadata) -> HeaderBlock:
    """The headers that open a stream. Raises ValueError for metadata that no header can hold."""
    return [
        (b":method", b"POST"),
        (b":scheme", _value(scheme)),
        (b":path", _value(path)),
        (b":authority", _value(authority)),
        (b"te", b"trailers"),
        (b"content-type", CONTENT_TYPE),
        *_fields(metadata),
    ]


def response(metadata: Metadata, http_status: int = 200) -> HeaderBlock:
    """The headers that begin a response. Raises ValueError for metadata that no header can hold."""
    return [
        (b":status", b"%d" % http_status),
        (b"content-type", CONTENT_TYPE),
        *_fields(metadata),
    ]


def trailers(status: Status, message: str) -> HeaderBlock:
    """The headers that end a response."""
    block = [(b"grpc-status", b"%d" % status)]
    if message:
        block.append((b"grpc-message", encode_message(message)))
    return block


def read_request(block: Iterable[tuple[bytes, bytes]]) -> Request | Refusal:
    """Raises `MalformedHeaders`. The `:authority` may be anything, or missing."""
    pseudo, fields = _split(block, _REQUEST_PSEUDO)
    method = pseudo.get(":method")
    path = pseudo.get(":path")
    if not method or not path or ":scheme" not in pseudo:
        raise MalformedHeaders("a request without :method, :scheme or :path")
    if method != "POST":
        return Refusal(405, Status.INTERNAL, f"the method is {method}, gRPC is POST")
    content_type = _first(fields, "content-type")
    if not _GRPC.fullmatch(content_type):
        return Refusal(
            415, Status.INVALID_ARGUMENT, f'invalid gRPC request content-type "{content_type}"'
        )
    return Request(
        path, pseudo.get(":authority", ""), _metadata(fields), _first(fields, "grpc-encoding")
    )


def judge_request(
    stream_id: int, block: Iterable[tuple[bytes, bytes]], *, ended: bool
) -> RequestRead:
    """`read_request`, as a value that can be kept."""
    try:
        outcome = read_request(block)
    except MalformedHeaders:
        return RequestRead(stream_id, ended)
    if isinstance(outcome, Refusal):
        return RequestRead(stream_id, ended, refusal=outcome)
    opened = StreamOpened(stream_id, outcome.path, outcome.metadata, outcome.authority)
    return RequestRead(stream_id, ended, opened, outcome.encoding)


def read_response(block: Iterable[tuple[bytes, bytes]], *, ended: bool) -> Response | Ending:
    """`ended`: whether nothing follows these headers. Raises `MalformedHeaders`."""
    pseudo, fields = _split(block, _RESPONSE_PSEUDO)
    text = pseudo.get(":status", "")
    if not _STATUS.fullmatch(text):
        raise MalformedHeaders(f"a response whose :status is {text!r}")
    content_type = _first(fields, "content-type")
    if text == "200" and not ended and _GRPC.fullmatch(content_type):
        return Response(_metadata(fields), _first(fields, "grpc-encoding"))
    if any(name == "grpc-status" for name, _ in fields):
        return _ending(fields)
    if text != "200":
        return Ending(from_http(int(text)), f"unexpected HTTP status {text}")
    if ended and _GRPC.fullmatch(content_type):
        return _ending(fields)
    return Ending(Status.UNKNOWN, f'received unexpected content-type "{content_type}"')


def read_trailers(block: Iterable[tuple[bytes, bytes]]) -> Ending:
    """Raises `MalformedHeaders`."""
    return _ending(_split(block, _NO_PSEUDO)[1])


def _ending(fields: list[tuple[str, str]]) -> Ending:
    text = _first(fields, "grpc-status")
    if not text:
        return Ending(Status.UNKNOWN, "the server sent no grpc-status")
    message = decode_message(_first(fields, "grpc-message"))
    return Ending(from_text(text), message)


def _split(
    block: Iterable[tuple[bytes, bytes]], known: frozenset[bytes]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Pseudo-headers and fields, checked."""
    pseudo: dict[str, str] = {}
    fields: list[tuple[str, str]] = []
    for name, value in block:
        if _BAD_IN_VALUE.search(value):
            raise MalformedHeaders(f"a line break or NUL in the value of {name!r}")
        # Go's strings are bytes: what is not UTF-8 must survive the way through str.
        text = value.decode("utf-8", "surrogateescape")
        if name in known:
            key = name.decode("ascii")
            if fields or key in pseudo:
                raise MalformedHeaders(f"{key} twice or out of place")
            pseudo[key] = text
        elif not _NAME.fullmatch(name) or name in _CONNECTION_SPECIFIC:
            raise MalformedHeaders(f"the header {name!r} is not allowed here")
        elif name == b"te" and value != b"trailers":
            raise MalformedHeaders("te is not trailers")
        else:
            fields.append((name.decode("ascii"), text))
    return pseudo, fields


def _first(fields: Metadata, key: str) -> str:
    for name, value in fields:
        if name == key:
            return value
    return ""


def _metadata(fields: list[tuple[str, str]]) -> Metadata:
    return tuple(field for field in fields if field[0] not in _OWN)


def _fields(metadata: Metadata) -> Iterable[tuple[bytes, bytes]]:
    for key, value in metadata:
        name = key.encode("utf-8", "surrogateescape")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{key!r} cannot be the name of a header")
        yield name, _value(value)


def _value(text: str) -> bytes:
    value = text.encode("utf-8", "surrogateescape")
    if _BAD_IN_VALUE.search(value):
        raise ValueError(f"{text!r} cannot be the value of a header")
    return value


RESPONSE = response(())
"""The usual beginning of a response, made once."""
