"""When a dial failed for what the agent itself lacks: another agent may have it.

The kernel says the same, EADDRNOTAVAIL, when no local port is left and when this host has no
address to reach an IPv6 destination from, as `::1` where IPv6 is off. The latter is no shortage: a
client would wait for a second agent that is mostly like the first. A UDP socket tells the two
apart: connecting it chooses an address in the same way, needs no TCP port and sends nothing. (For
IPv4, Linux says it of ports alone.)
"""

from __future__ import annotations

import errno
import socket

from konnect.agent.gotext import errno_of, is_out_of_files
from konnect.net.hub.facts import resolved
from konnect.tunnel.reasons import Reason

_RESOURCES = (errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC)
"""No memory of the kernel's, or a limit: of processes, or of what epoll may watch (ENOSPC)."""


def shortage(error: BaseException, ip: str = "", port: int = 0) -> Reason | None:
    """
    What the agent lacks, by the error of a socket or a lookup; None if it lacks nothing.

    :param ip: the IP address (with its zone) that was connected to; empty for a lookup.
    """
    if is_out_of_files(error):
        return Reason.TOO_MANY_FILES
    number = errno_of(error)
    if number in _RESOURCES or (number == errno.EADDRNOTAVAIL and ip and _has_source(ip, port)):
        return Reason.OUT_OF_RESOURCES
    return None


def missing() -> OSError | None:
    """What a socket that is asked for now cannot have; None if there is one."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError as error:
        return error
    return None


def _has_source(ip: str, port: int) -> bool:
    """Whether this host has an address from which `ip` could be reached, as far as is known."""
    try:
        family, name = resolved(ip, port)
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as probe:
            probe.connect(name)
    except OSError as error:
        # Whatever else the agent lacks, UDP ports among it (EAGAIN), says nothing about addresses.
        return shortage(error) is not None
    return True
