"""What every TCP connection of a tunnel is told: to wait for nothing, and to notice a dead peer.

Keepalive is TCP's own, as Go's programs have it on every socket: a peer whose host or network has
vanished says nothing, and without it an idle tunnel would stay for ever; and what forgets idle
connections on the way (NAT, balancers) sees that they are alive. HTTP/2's keepalive
(`konnect.net.keepalive`) is another matter: it asks the program, where there is one to answer.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.error import ConnectError, getConnectError
from twisted.protocols.policies import ProtocolWrapper

NOT_SENT = 128 * 1024
"""Bytes that may wait in the kernel without having been sent."""

QUIET = 15
"""Seconds of silence before the first probe, and between two: those of Go's net.Dialer and
ListenConfig. (The kernel's own are two hours and 75 seconds.) After nine probes without an answer,
the kernel's own number, the connection is over."""


def be_prompt(sock: socket.SocketType, *, bulk: bool = True) -> None:
    """
    Switch delays off on a TCP socket, or on a listener for all that it accepts: TCP_NODELAY, and,
    if it may carry bulk beside what is small, TCP_NOTSENT_LOWAT, which keeps what waits in the
    kernel short.

    The second took an echo beside four bulk downloads from 1.83 to 1.46 ms (measured).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if bulk:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT)


def be_watchful(sock: socket.SocketType) -> None:
    """Switch keepalive on for a TCP socket, or on a listener for all that it accepts."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, QUIET)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, QUIET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def tune(transport: Any, *, patience: float | None = None) -> None:
    """
    No delay and keepalive for a transport of any kind; nothing where there is no TCP.

    The hub's sockets have keepalive from the beginning, and say whether they are TCP's.

    :param patience: of a connection that lives long and is always read: `give_up_after` so many
        seconds, and `be_unpaced`.
    """
    is_tcp = getattr(transport, "is_tcp", None)
    if is_tcp is None:
        sock = _tune_stock(transport)
    elif is_tcp():
        transport.setTcpNoDelay(True)
        sock = transport.getHandle()
    else:
        return
    if patience is not None and sock is not None:
        give_up_after(sock, patience)
        be_unpaced(sock)


def _tune_stock(transport: Any) -> Any:
    set_no_delay = getattr(transport, "setTcpNoDelay", None)
    if set_no_delay is None:
        return None
    set_no_delay(True)
    sock = _tcp_socket(transport)
    if sock is not None:
        be_watchful(sock)
    return sock


def give_up_after(sock: Any, seconds: float) -> None:
    """
    Let a TCP connection end when what was sent is not acknowledged within so many seconds, by the
    kernel of the peer (TCP_USER_TIMEOUT, RFC 5482); keepalive's probes count.

    The kernel's own limit is some 15 minutes. Only for peers that always read: a receive window
    that stays shut is no acknowledgement either.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))


def be_unpaced(sock: Any) -> None:
    """
    Let a connection within one host, by loopback or one of the host's own addresses, wait for no
    timers: where BBR is the system's congestion control, it is Reno's, which every kernel has.

    BBR paces what is sent, there too, where nothing is shared and nothing is lost. Each packet of
    bulk then takes a timer and its interrupt: uploads over TLS through our proxy and the original's
    agent came to 1.1 to 1.3 times the rate without (measured). Across a network the system's choice
    holds.
    """
    try:
        if sock.getsockname()[0] == sock.getpeername()[0]:
            chosen = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
            if chosen.startswith(b"bbr"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    except OSError:
        pass  # gone already, or a kernel that has no such choice: then it is as the system has it


def _drawn_ports() -> range:
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            lowest, highest = map(int, file.read().split())
    except (OSError, ValueError):
        return range(65536)
    return range(lowest, highest + 1)


DRAWN_PORTS = _drawn_ports()
"""Where the kernel draws a port from for a socket that connects without one, of IPv4 or IPv6."""


def meets_itself(sock: Any, port: int) -> bool:
    """
    Whether a TCP socket that has connected to `port` is connected to itself.

    Where nobody listens the kernel may draw the very port that is asked for, and lets the socket
    connect to itself: an echo, in the place of whoever is to listen there. For who connects, that
    is a refusal.
    """
    try:
        name = sock.getsockname()
        return bool(name[1] == port and name == sock.getpeername())
    except OSError:
        return False  # gone again: whoever reads will see it


def refusal() -> ConnectError:
    """The error of a connection that nobody was there to take."""
    error: ConnectError = getConnectError((errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)))
    return error


def _tcp_socket(transport: Any) -> Any:
    """The socket, or pyOpenSSL's connection over one, which does for it what it is asked; None
    where there is no TCP."""
    while isinstance(transport, ProtocolWrapper):  # Twisted's TLS
        transport = transport.transport
    get_handle = getattr(transport, "getHandle", None)
    handle = get_handle() if get_handle is not None else None
    family = getattr(handle, "family", socket.AF_UNIX)
    return None if family == socket.AF_UNIX else handle
