"""What went wrong with a request, in one line without secrets.

The client's own exceptions are no good for a log: they hold headers and bodies, and a body may
repeat what was sent, tokens included.
"""

from __future__ import annotations

import json
import re
from typing import Any

from kubernetes.client import ApiException
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
)

from konnect.wire.token_review import shortened

_REASON = re.compile(r"[A-Za-z]{1,64}")
_SECONDS = re.compile(r"[0-9]{1,9}")

TOO_MANY = 429
"""What the API server's priority and fairness answers, with `Retry-After`."""


class ApiFailure(Exception):
    """
    A request that did not succeed; the text says why.

    :param code: the answer's HTTP status; 0: there was no answer, or none that makes sense.
    :param reason: Kubernetes' word for it (`NotFound`, `Conflict`), empty if it said none.
    :param wait: seconds after which the API server wants to be asked again; 0: it said nothing.
    """

    def __init__(self, text: str, *, code: int = 0, reason: str = "", wait: float = 0.0) -> None:
        super().__init__(text)
        self.code = code
        self.reason = reason
        self.wait = wait


def failure_of(error: Exception) -> ApiFailure:
    """What an exception of the client, of urllib3 or of a parser means."""
    if isinstance(error, ApiFailure):
        return error
    if isinstance(error, ApiException) and error.status:
        return answered(int(error.status), error.body, error.headers)
    # urllib3 counts a refused connection among the timeouts of connections.
    if isinstance(error, ConnectTimeoutError) and not isinstance(error, NewConnectionError):
        return ApiFailure("no connection to the API server in time")
    if isinstance(error, ReadTimeoutError):
        return ApiFailure("no answer from the API server in time")
    if isinstance(error, (HTTPError, ApiException, OSError)):
        return ApiFailure(f"no answer from the API server: {_root(error)}")
    # A text of somebody's about an answer may quote the answer.
    return ApiFailure(f"the API server's answer makes no sense ({type(error).__name__})")


def answered(code: int, body: Any, headers: Any = None) -> ApiFailure:
    """What an answer with an error status means; `body` is a Status object, if all is well."""
    wait = str(headers.get("Retry-After") or "") if headers else ""
    # What client-go heeds too. Whoever gives a date for it is no API server.
    told = (code == TOO_MANY or code >= 500) and _SECONDS.fullmatch(wait)
    reason = message = ""
    try:
        status = json.loads(body)
        reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    except (TypeError, ValueError, AttributeError):
        pass
    if not _REASON.fullmatch(reason):
        reason = ""  # metrics have a label for each
    said = shortened(message) or reason or "without a reason"
    text = f"the API server answered {code}: {said}"
    return ApiFailure(text, code=code, reason=reason, wait=float(wait) if told else 0.0)


def _root(error: BaseException) -> str:
    """What is at the bottom of an exception: the kernel's or OpenSSL's words."""
    seen: set[int] = set()
    deepest = error
    while id(deepest) not in seen:
        seen.add(id(deepest))
        below = deepest.__cause__ or deepest.__context__
        reason = getattr(deepest, "reason", None)
        if below is None and isinstance(reason, BaseException):
            below = reason
        if below is None:
            break
        deepest = below
    if isinstance(deepest, OSError) and deepest.strerror:
        return deepest.strerror
    return shortened(str(deepest)) or type(deepest).__name__
