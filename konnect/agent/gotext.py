"""The words of Go's net package for addresses and dials.

Why Go's: stock proxies choose an HTTP status by searching these texts, and upstream's tests and
people's alerts match them. Pure: nothing is resolved or connected here.
"""

from __future__ import annotations

import errno
import os
import re
import socket

from twisted.internet.error import (
    ConnectBindError,
    ConnectionRefusedError,
    NoRouteError,
    TimeoutError,
)

TCP = ("tcp", "tcp4", "tcp6")

_KNOWN_NETWORK = re.compile(r"(?:(?:tcp|udp)[46]?|unix(?:gram|packet)?|ip[46]?:.+)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_LABEL = r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?"
_DOMAIN_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.ASCII)

# The names that Go knows without /etc/services.
_SERVICES = {
    "domain": 53,
    "ftp": 21,
    "ftps": 990,
    "gopher": 70,
    "http": 80,
    "https": 443,
    "imap2": 143,
    "imap3": 220,
    "imaps": 993,
    "pop3": 110,
    "pop3s": 995,
    "smtp": 25,
    "ssh": 22,
    "submissions": 465,
    "telnet": 23,
}


class AddressError(ValueError):
    """The network or the address cannot be dialled; the text is Go's, from `dial` on."""


def _shown(text: str) -> str:
    # A peer may write megabytes; 253 are enough for any name.
    return text if len(text) <= 300 else text[:300] + "..."


def check_network(network: str) -> None:
    """Raises AddressError, with Go's text or ours, when `network` is not one of `TCP`."""
    if network in TCP:
        return
    shown = _shown(network)
    if _KNOWN_NETWORK.fullmatch(network):
        raise AddressError(
            f"dial {shown}: network {shown} is not permitted by this agent"
            f" (permitted: {', '.join(TCP)})"
        )
    raise AddressError(f"dial{' ' if shown else ''}{shown}: unknown network {shown}")


def split_address(network: str, address: str) -> tuple[str, int]:
    """
    Host (without brackets; "" is this machine) and port (0 when empty) of a TCP address.

    :raises AddressError: `dial tcp: address foo: missing port in address` and the like.
    """
    if not address:
        raise AddressError(f"dial {network}: missing address")
    try:
        host, port = _split(address)
    except ValueError as error:
        raise AddressError(f"dial {network}: address {_shown(address)}: {error}") from None
    return host, _port(network, port)


def _split(address: str) -> tuple[str, str]:
    before, colon, port = address.rpartition(":")
    if not colon:
        raise ValueError("missing port in address")
    if address.startswith("["):
        end = address.find("]")
        if end < 0:
            raise ValueError("missing ']' in address")
        if end + 1 != len(before):
            too_many = address[end + 1 : end + 2] == ":"
            raise ValueError(
                "too many colons in address" if too_many else "missing port in address"
            )
        host, closed = address[1:end], address[end + 1 :]
        opened = address[1:]
    else:
        if ":" in before:
            raise ValueError("too many colons in address")
        host, opened, closed = before, address, address
    if "[" in opened:
        raise ValueError("unexpected '[' in address")
    if "]" in closed:
        raise ValueError("unexpected ']' in address")
    return host, port


def _port(network: str, text: str) -> int:
    if not text:
        return 0
    if not _NUMBER.fullmatch(text):
        service = _SERVICES.get(text.lower())
        if service is None:
            raise AddressError(f"dial {network}: lookup tcp/{_shown(text)}: unknown port")
        return service
    # int() would take minutes for a number of a million digits.
    number = int(text) if len(text.lstrip("+-0")) <= 5 else 65536
    if not 0 <= number <= 65535:
        raise AddressError(f"dial {network}: address {_shown(text)}: invalid port")
    return number


def join_address(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_domain_name(host: str) -> bool:
    """
    Whether Go would look `host` up; all else is `no such host` at once.

    Spellings of addresses that only C libraries read (`127.1`, `0x7f.1`) are no names.
    """
    if not _DOMAIN_NAME.fullmatch(host) or len(host.removesuffix(".")) > 253:
        return False
    try:
        socket.inet_aton(host)
    except OSError:
        return bool(re.search(r"[A-Za-z_-]", host))
    return False


def lookup_error_text(network: str, host: str, why: str = "no such host") -> str:
    """`dial tcp: lookup NAME: no such host`; `why` may also be `i/o timeout`."""
    return f"dial {network}: lookup {_shown(host)}: {why}"


def no_suitable_address_text(network: str, host: str) -> str:
    """The host has addresses, but none of the family that `network` asks for."""
    return f"dial {network}: address {host}: no suitable address found"


def timeout_text(network: str, address: str) -> str:
    """No answer in time."""
    return f"dial {network} {address}: i/o timeout"


def is_timeout(failure: BaseException) -> bool:
    """Whether Go would call the error a timeout."""
    return isinstance(failure, TimeoutError) or errno_of(failure) == errno.ETIMEDOUT


def is_out_of_files(failure: BaseException) -> bool:
    """Whether there was no descriptor, in the process or the system."""
    return errno_of(failure) in (errno.EMFILE, errno.ENFILE)


def dial_error_text(network: str, address: str, failure: BaseException) -> str:
    """
    What Go says when connecting to `address` (an IP address and port) failed so.

    :param failure: an error of Twisted's (`ConnectError` and below) or the kernel's (`OSError`).
    """
    number = errno_of(failure)
    if number is None and isinstance(failure, TimeoutError):
        return timeout_text(network, address)
    call = "connect"
    if isinstance(failure, ConnectBindError) or is_out_of_files(failure):
        call = "socket"
    return f"dial {network} {address}: {call}: {words(failure)}"


def errno_of(failure: BaseException) -> int | None:
    """The kernel's number for an error of Twisted's or the C library's; None if it has none."""
    if isinstance(failure, socket.gaierror):
        if failure.errno == socket.EAI_MEMORY:
            return errno.ENOMEM
        # An address that the C library cannot read: in practice a zone that does not exist.
        return errno.EINVAL
    number = getattr(failure, "osError", None)
    if number is None:
        number = getattr(failure, "errno", None)
    if number is None and isinstance(failure, ConnectionRefusedError):
        return errno.ECONNREFUSED
    if number is None and isinstance(failure, NoRouteError):
        return errno.EHOSTUNREACH
    return number if isinstance(number, int) else None


def words(failure: BaseException) -> str:
    """What went wrong, without where."""
    number = errno_of(failure)
    if number is None:
        return " ".join(str(failure).split()) or type(failure).__name__
    text = os.strerror(number)
    return text[:1].lower() + text[1:]
