"""
Kubernetes' label selectors, judged before an API server is asked with them: `k=v,k2 in (a,b),!k3`.

Only whether a selector is one is decided here, in the words of the Kubernetes libraries that
upstream uses; what it selects is the API server's business. Their grammar is that of
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api, and `>` and `<`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from konnect.app import kinds
from konnect.app.quoting import quote

_TOKEN = re.compile(r"\s*(!=|==|[!=<>,()]|[^\s!=<>,()]+)")
_SPECIAL = frozenset(("!", "=", "==", "!=", "<", ">", ",", "(", ")", ""))
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FAILED = "unable to parse requirement: "


def read_selector(text: str) -> str:
    """The selector as it is; raises ValueError for what is none. An empty one selects all."""
    tokens = _tokens(text)
    token = next(tokens)
    if token == "":
        return text
    if token in _SPECIAL and token != "!":
        raise ValueError(f"found '{token}', expected: !, identifier, or 'end of string'")
    while True:
        token = _requirement(token, tokens)
        if token == "":
            return text
        if token != ",":
            raise ValueError(f"found '{token}', expected: ',' or 'end of string'")
        token = next(tokens)
        if token in _SPECIAL and token != "!":
            raise ValueError(f"found '{token}', expected: identifier after ','")


def _tokens(text: str) -> Iterator[str]:
    """The words and signs of a selector, then empty ones for ever."""
    yield from _TOKEN.findall(text)
    while True:
        yield ""


def _requirement(token: str, tokens: Iterator[str]) -> str:
    """Read one requirement that begins with `token`; the token behind it."""
    absent = token == "!"
    key = next(tokens) if absent else token
    if key in _SPECIAL:
        raise ValueError(f"{_FAILED}found '{key}', expected: identifier")
    _check_key(key)
    operator = next(tokens)
    if absent or operator in (",", ""):
        return operator
    if operator in ("in", "notin"):
        for value in _values(tokens):
            _check_value(key, value)
        return next(tokens)
    if operator not in ("=", "==", "!=", "<", ">"):
        raise ValueError(f"{_FAILED}found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
    value = next(tokens)
    if value in ("", ","):  # an empty value
        return value
    if value in _SPECIAL:
        raise ValueError(f"{_FAILED}found '{value}', expected: identifier")
    if operator in ("<", ">") and not _INTEGER.fullmatch(value):
        raise ValueError(
            f"{_FAILED}values[0]: Invalid value: {quote(value)}: for 'Gt', 'Lt' operators, the"
            " value must be an integer"
        )
    _check_value(key, value)
    return next(tokens)


def _values(tokens: Iterator[str]) -> Iterator[str]:
    """What is between parentheses; there may be nothing, and nothing behind a comma."""
    token = next(tokens)
    if token != "(":
        raise ValueError(f"{_FAILED}found '{token}' expected: '('")
    token = next(tokens)
    if token in _SPECIAL and token not in (",", ")"):
        raise ValueError(f"{_FAILED}found '{token}', expected: ',', ')' or identifier")
    while token != ")":
        if token != ",":
            yield token
            token = next(tokens)
            if token not in (",", ")"):
                raise ValueError(f"{_FAILED}found '{token}', expected: ',' or ')'")
        else:
            token = next(tokens)
            if token in _SPECIAL and token not in (",", ")"):
                raise ValueError(f"{_FAILED}found '{token}', expected: ',', ')' or identifier")


def _check_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and not _PREFIX.fullmatch(prefix)):
        raise ValueError(f"{_FAILED}Invalid value: {quote(key)}: not a valid label key")


def _check_value(key: str, value: str) -> None:
    if value and not _NAME.fullmatch(value):
        raise ValueError(
            f"{_FAILED}values[0][{key}]: Invalid value: {quote(value)}: not a valid label value"
        )


SELECTOR = kinds.Kind("string", read_selector, kinds.TEXT.show)
