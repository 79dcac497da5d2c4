"""What an agent lacks for a dial, and what is the destination's fault."""

from __future__ import annotations

import errno
import os
import socket
from types import SimpleNamespace
from typing import Any

from twisted.internet import error
from twisted.trial.unittest import SynchronousTestCase

from konnect.agent import dialing
from konnect.agent import shortage as module
from konnect.agent.dialing import connect_error, lookup_error
from konnect.agent.places import place_of
from konnect.agent.shortage import shortage
from konnect.tunnel.reasons import Reason


class ProbeSocket:
    """A UDP socket that cannot be made, or cannot be connected, or can."""

    made: Exception | None = None
    connected: Exception | None = None

    def __init__(self, *_: Any) -> None:
        if self.made is not None:
            raise self.made

    def __enter__(self) -> ProbeSocket:
        return self

    def __exit__(self, *_: Any) -> None:
        """Closed."""

    def connect(self, _: Any) -> None:
        """No packet is sent."""
        if self.connected is not None:
            raise self.connected


def os_error(number: int) -> OSError:
    """The kernel's."""
    return OSError(number, os.strerror(number))


class ShortageTests(SynchronousTestCase):
    """By the error of a socket."""

    def probe(self, *, made: int = 0, connected: int = 0) -> None:
        """What the UDP sockets of this test come to."""

        class Probe(ProbeSocket):
            pass

        Probe.made = os_error(made) if made else None
        Probe.connected = os_error(connected) if connected else None
        fake = SimpleNamespace(socket=Probe, SOCK_DGRAM=2, SOCK_NONBLOCK=2048)
        self.patch(module, "socket", fake)

    def test_descriptors_and_memory(self) -> None:
        """What the process or the kernel has no more of, in the words of either transport."""
        for number, reason in (
            (errno.EMFILE, Reason.TOO_MANY_FILES),
            (errno.ENFILE, Reason.TOO_MANY_FILES),
            (errno.ENOBUFS, Reason.OUT_OF_RESOURCES),
            (errno.ENOMEM, Reason.OUT_OF_RESOURCES),
            (errno.EAGAIN, Reason.OUT_OF_RESOURCES),
            (errno.ENOSPC, Reason.OUT_OF_RESOURCES),
        ):
            for failure in (
                os_error(number),
                error.ConnectBindError(number, "x"),
                error.getConnectError((number, "x")),
            ):
                self.assertIs(shortage(failure, "10.0.0.1", 80), reason, failure)
        self.assertIs(shortage(socket.gaierror(socket.EAI_MEMORY, "x")), Reason.OUT_OF_RESOURCES)

    def test_the_networks_errors(self) -> None:
        """What the destination or the way there is to blame for is no shortage."""
        for number in (
            errno.ECONNREFUSED,
            errno.EHOSTUNREACH,
            errno.ENETUNREACH,
            errno.ETIMEDOUT,
            errno.EACCES,
            errno.EPERM,
            errno.EINVAL,
            errno.ECONNRESET,
        ):
            self.assertIsNone(shortage(error.getConnectError((number, "x")), "127.0.0.1", 80))
        for failure in (error.TimeoutError(), socket.gaierror(socket.EAI_NONAME, "x")):
            self.assertIsNone(shortage(failure))

    def test_no_local_port(self) -> None:
        """There is an address to come from: it is the ports that are used up."""
        failure = error.getConnectError((errno.EADDRNOTAVAIL, "x"))
        self.assertIs(shortage(failure, "127.0.0.1", 9), Reason.OUT_OF_RESOURCES)
        for number in (errno.EAGAIN, errno.ENOBUFS):
            self.probe(connected=number)
            self.assertIs(shortage(failure, "::1", 9), Reason.OUT_OF_RESOURCES)
        self.probe(made=errno.EMFILE)
        self.assertIs(shortage(failure, "::1", 9), Reason.OUT_OF_RESOURCES)

    def test_no_local_address(self) -> None:
        """Where IPv6 is off another agent would say the same: nobody waits for one."""
        failure = error.getConnectError((errno.EADDRNOTAVAIL, "x"))
        for number in (errno.EADDRNOTAVAIL, errno.ENETUNREACH):
            self.probe(connected=number)
            self.assertIsNone(shortage(failure, "::1", 9))
        self.probe(made=errno.EAFNOSUPPORT)
        self.assertIsNone(shortage(failure, "::1", 9))
        self.assertIsNone(shortage(failure, "fe80::1%nowhere", 9))

    def test_dial(self) -> None:
        """A dial's error has Go's text and the reason."""
        place = place_of("tcp", "127.0.0.1:9")
        failed: Any = connect_error(place, "127.0.0.1", os_error(errno.EADDRNOTAVAIL))
        self.assertEqual(
            failed.text, "dial tcp 127.0.0.1:9: connect: cannot assign requested address"
        )
        self.assertIs(failed.reason, Reason.OUT_OF_RESOURCES)
        self.assertFalse(failed.timed_out)
        failed = connect_error(place, "127.0.0.1", error.ConnectBindError(errno.ENOBUFS, "x"))
        self.assertEqual(failed.text, "dial tcp 127.0.0.1:9: socket: no buffer space available")
        self.assertIs(failed.reason, Reason.OUT_OF_RESOURCES)

    def test_lookup(self) -> None:
        """A name that could not be asked for is not said to be unknown."""
        place = place_of("tcp", "somewhere:80")
        for problem, words, reason in (
            (os_error(errno.EMFILE), "socket: too many open files", Reason.TOO_MANY_FILES),
            (os_error(errno.EAGAIN), "resource temporarily unavailable", Reason.OUT_OF_RESOURCES),
            (
                socket.gaierror(socket.EAI_MEMORY, "x"),
                "cannot allocate memory",
                Reason.OUT_OF_RESOURCES,
            ),
            (socket.gaierror(socket.EAI_NONAME, "x"), "no such host", Reason.NO_SUCH_HOST),
            (socket.gaierror(socket.EAI_AGAIN, "x"), "no such host", Reason.NO_SUCH_HOST),
            (None, "no such host", Reason.NO_SUCH_HOST),
        ):
            failed = lookup_error(place, problem)
            self.assertEqual(failed.text, f"dial tcp: lookup somewhere: {words}")
            self.assertIs(failed.reason, reason)
        self.patch(dialing, "missing", lambda: os_error(errno.ENOBUFS))
        self.assertIs(lookup_error(place).reason, Reason.OUT_OF_RESOURCES)
