"""Accounts of tunnels as lines: text of `name=value` pairs, or JSON objects.

Names and ids come from peers, so every value is quoted (in text: unless it is harmless) and cut
when it is long. What a field means is in docs/operations.md.

The lines are put together by hand, since there is one for each tunnel: a JSON encoder takes three
times as long as all the rest of an account. In text, what many of them have in common (links,
destinations, clients of a unix socket, the second) is looked up as it was written before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _string

from twisted.logger import formatTime

from konnect.tunnel.account import Account, Client

Line = Callable[[float, str, Account], str]
"""From the time of the end (seconds since 1970), the word for the link's other side and the account
to a line with its line feed."""

LOGGER = "konnect.tunnels"

LONGEST = 256
"""Characters of one value."""

TOO_LONG = LONGEST + 1
"""Characters that show that a value is longer: no more are remembered."""

_harmless = re.compile(r"[!#-<>-\[\]-~]+").fullmatch


def text_line(at: float, side: str, account: Account) -> str:
    """With time and module before it, as Twisted's own lines have them."""
    return _header(int(at)) + bare_line(at, side, account)


def bare_line(at: float, side: str, account: Account) -> str:
    """Without anything before it."""
    client, link, link_peer, destination, opened, dial, seconds, out, back, reason, text = account
    who = "" if client is None else _client(client)
    way = _way(side, link[:TOO_LONG], link_peer, destination[:TOO_LONG])
    if opened:
        return (
            f"tunnel ended:{who}{way} dial={dial:.6f}s duration={seconds:.6f}s"
            f" to_destination={out} to_client={back} reason={reason}\n"
        )
    return (
        f"dial failed:{who}{way} dial={dial:.6f}s reason={reason}"
        f" error={_quoted(text[:TOO_LONG])}\n"
    )


def json_line(at: float, side: str, account: Account) -> str:
    """An object with the fields of every JSON line, and the account's."""
    client, link, link_peer, destination, opened, dial, seconds, out, back, reason, text = account
    who = ""
    if client is not None:
        frontend, peer, name = client
        user = f'"user": {_string(name)}, ' if name else ""
        who = f'"client": {_string(peer)}, {user}"frontend": {_string(frontend)}, '
    if link:
        who += f'"{side}": {_string(link[:LONGEST])}, "link": {_string(link_peer)}, '
    if opened:
        message = "tunnel ended"
        rest = (
            f'"duration_seconds": {seconds:.6f}, "to_destination_bytes": {out},'
            f' "to_client_bytes": {back}, "reason": "{reason}"'
        )
    else:
        message = "dial failed"
        rest = f'"reason": "{reason}", "error": {_string(text[:LONGEST])}'
    return (
        f'{{"time": "{json_time(at)}", "level": "info", "logger": "{LOGGER}",'
        f' "message": "{message}", {who}"destination": {_string(destination[:LONGEST])},'
        f' "dial_seconds": {dial:.6f}, {rest}}}\n'
    )


def json_time(at: float) -> str:
    """RFC 3339, in UTC, with microseconds."""
    second = int(at)
    return f"{_utc(second)}.{int((at - second) * 1e6):06d}Z"


@lru_cache(maxsize=1024)
def _quoted(value: str) -> str:
    if len(value) > LONGEST:
        value = value[:LONGEST] + "..."
    return value if _harmless(value) else _string(value)


@lru_cache(maxsize=64)
def _client(client: Client) -> str:
    frontend, peer, name = client
    user = f" user={_quoted(name)}" if name else ""
    return f" client={_quoted(peer)}{user} frontend={frontend}"


@lru_cache(maxsize=1024)
def _way(side: str, link: str, link_peer: str, destination: str) -> str:
    via = f" {side}={_quoted(link)} link={_quoted(link_peer)}" if link else ""
    return f"{via} destination={_quoted(destination)}"


# Lines come many a second, and writing a date is slow: it is done once for each second.
@lru_cache(maxsize=1)
def _header(second: int) -> str:
    return f"{formatTime(float(second))} [{LOGGER}#info] "


@lru_cache(maxsize=1)
def _utc(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
