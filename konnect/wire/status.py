"""gRPC status codes, and what else on the wire maps to them.

A stream may end without a status of its own: by RST_STREAM, or by a plain HTTP answer from
something that is no gRPC server. Both are mapped here as gRPC lays down ("Errors" in gRPC over
HTTP/2, and its table of HTTP statuses). Status texts travel percent-encoded.
"""

from __future__ import annotations

import enum
import re
from typing import Final
from urllib.parse import unquote_to_bytes

_GO_NAMES = {0: "OK", 1: "Canceled"}
"""Go's names of codes, where they are not what follows from gRPC's."""


class Status(enum.IntEnum):
    """The codes of `grpc-status`."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    def __init__(self, code: int) -> None:
        self.label: str = _GO_NAMES.get(code) or self._name_.title().replace("_", "")
        """The code's name in metrics: Go's (`Unavailable`, `Canceled`), which is upstream's."""


OK: Final = Status.OK


class ErrorCode(enum.IntEnum):
    """HTTP/2 error codes, RFC 9113 section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


_FROM_RESET: dict[int, Status] = {
    ErrorCode.REFUSED_STREAM: Status.UNAVAILABLE,
    ErrorCode.CANCEL: Status.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Status.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Status.PERMISSION_DENIED,
}

_FROM_HTTP: dict[int, Status] = {
    400: Status.INTERNAL,
    401: Status.UNAUTHENTICATED,
    403: Status.PERMISSION_DENIED,
    404: Status.UNIMPLEMENTED,
    429: Status.UNAVAILABLE,
    502: Status.UNAVAILABLE,
    503: Status.UNAVAILABLE,
    504: Status.UNAVAILABLE,
}


def code_name(code: int) -> str:
    """The name of an HTTP/2 error code, its decimal text if it has none."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return str(code)


def from_reset(code: int) -> Status:
    """The status that a RST_STREAM with this error code stands for."""
    return _FROM_RESET.get(code, Status.INTERNAL)


def from_http(status: int) -> Status:
    """The status that an HTTP answer without `grpc-status` stands for. `status` is not 200."""
    return _FROM_HTTP.get(status, Status.UNKNOWN)


def from_text(text: str) -> Status:
    """A `grpc-status` value; UNKNOWN for anything that is not one of the codes."""
    if text.isascii() and text.isdecimal() and len(text) < 4:
        try:
            return Status(int(text))
        except ValueError:
            pass
    return Status.UNKNOWN


# gRPC leaves printable ASCII as it is, except the percent sign.
_TO_ENCODE = re.compile(rb"[^\x20-\x24\x26-\x7e]")


def encode_message(text: str) -> bytes:
    """`text` as the value of `grpc-message`: percent-encoded UTF-8, legal in a header."""
    encoded = _TO_ENCODE.sub(lambda m: b"%%%02X" % m[0][0], text.encode("utf-8", "replace"))
    # A field value neither begins nor ends with a space (RFC 9113 section 8.2.1).
    if encoded[:1] == b" ":
        encoded = b"%20" + encoded[1:]
    if encoded[-1:] == b" ":
        encoded = encoded[:-1] + b"%20"
    return encoded


def decode_message(value: str) -> str:
    """The text of a `grpc-message` value. Never fails: what is badly encoded is kept as it came."""
    return unquote_to_bytes(value.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")
