"""The destination that a CONNECT request names: what upstream's URL parser makes of its target.

The address is passed on as it stands: case, a missing port and brackets are kept, since the agent
says best what is wrong with it. User information, path and query are cut off. Nothing is resolved.
What other methods ask for is only looked at, by the same parser's rules.
"""

from __future__ import annotations

import ipaddress
import re

MAX_TARGET = 8192
"""Longest target, in bytes. Names have 255 bytes at most; what is longer only costs the agent."""

_USER_INFO = re.compile(rb"(?:[0-9A-Za-z\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*")
_OPTIONAL_PORT = re.compile(rb"(?::[0-9]*)?")
# In a name only bytes over 0x7f may be percent-encoded, so that nothing hides behind an escape.
_NAME = re.compile(rb"(?:[0-9A-Za-z\-._~!$&'()*+,;=:<>\"\]\x80-\xff]|%[89A-Fa-f][0-9A-Fa-f]|%25)*")
_ZONE = re.compile(rb"[0-9A-Za-z\-._~!$&'()*+,;=:]+")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SCHEME = re.compile(rb"[A-Za-z][0-9A-Za-z+\-.]*:")
_HOST_HEADER = re.compile(r"[0-9A-Za-z!$%&'()*+,\-.:;=\[\]_~]*")


class BadTarget(ValueError):
    """The target (or the Host header used in its place) names no destination; the text says why."""


def is_host_header(value: str) -> bool:
    """Whether a Host header holds only characters that may be in one."""
    return bool(_HOST_HEADER.fullmatch(value))


def check_uri(target: bytes) -> None:
    """
    Look at the target of a request that is no CONNECT: `*`, a path, or a whole URI.

    :raises BadTarget: with the reason.
    """
    scheme = _SCHEME.match(target)
    rest = target[scheme.end() :] if scheme else target
    if rest.startswith(b"/"):
        # Without a scheme two slashes begin a path as well.
        _authority(rest[2:] if scheme and rest.startswith(b"//") else rest)
    elif not scheme and target != b"*":
        raise BadTarget("the target is no URI")


def address_of(target: bytes, host: str) -> str:
    """
    The address to dial: the authority in `target`, or the `Host` header where the target has none.

    :param target: as in the request line.
    :param host: the Host header's value, "" if there was none.
    :raises BadTarget: with the reason.
    """
    if len(target) > MAX_TARGET:
        raise BadTarget(f"the target is longer than {MAX_TARGET} bytes")
    address = _authority(target)
    try:
        return address.decode("utf-8") or host
    except UnicodeDecodeError:
        raise BadTarget("the target is not UTF-8") from None


def _authority(target: bytes) -> bytes:
    authority, slash, path = target.partition(b"?")[0].partition(b"/")
    if slash and _BAD_ESCAPE.search(path):
        raise BadTarget("malformed escape in the path of the target")
    user_info, _, host = authority.rpartition(b"@")
    if not _USER_INFO.fullmatch(user_info):
        raise BadTarget("malformed user information in the target")
    if host.startswith(b"["):
        return _bracketed(host)
    name, colon, port = host.partition(b":")
    if not _OPTIONAL_PORT.fullmatch(colon + port):
        raise BadTarget("malformed port in the target")
    if not _NAME.fullmatch(name):
        raise BadTarget("malformed host in the target")
    return _unescape(host)


def _bracketed(host: bytes) -> bytes:
    literal, bracket, port = host[1:].rpartition(b"]")
    if not bracket:
        raise BadTarget("the target has '[' without ']'")
    if not _OPTIONAL_PORT.fullmatch(port):
        raise BadTarget("malformed port in the target")
    name, mark, zone = literal.partition(b"%25")  # RFC 6874: a zone's `%` is itself escaped
    if not _is_ipv6(name):
        raise BadTarget("the target has something other than an IPv6 address in brackets")
    if not mark:
        return host
    zone = _unescape(zone)
    if not _ZONE.fullmatch(zone):
        raise BadTarget("malformed zone in the target")
    return b"[" + name + b"%" + zone + b"]" + port


def _is_ipv6(name: bytes) -> bool:
    try:
        ipaddress.IPv6Address(name.decode("ascii"))
    except ValueError:
        return False
    return b"%" not in name


def _unescape(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), text)
