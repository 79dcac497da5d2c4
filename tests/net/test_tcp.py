"""What a connection is told by `konnect.net.tcp`."""

from __future__ import annotations

import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from konnect.net.tcp import be_unpaced, tune

CONGESTION = (socket.IPPROTO_TCP, socket.TCP_CONGESTION)
PATIENCE = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2500)


class FakeTransport:
    """One that says whether it is TCP's, as the hub's do, and notes what it is told."""

    def __init__(self, tcp: bool) -> None:
        self._tcp = tcp
        self.told: list[Any] = []

    def is_tcp(self) -> bool:
        return self._tcp

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.told.append(enabled)

    def setsockopt(self, *option: Any) -> None:
        self.told.append(option)

    def getsockname(self) -> tuple[str, int]:
        return ("192.0.2.1", 1)

    def getpeername(self) -> tuple[str, int]:
        return ("192.0.2.2", 2)

    def getHandle(self) -> FakeTransport:
        return self


class TuneTest(SynchronousTestCase):
    def test_tcp(self) -> None:
        transport = FakeTransport(True)
        tune(transport)
        self.assertEqual(transport.told, [True])
        tune(transport, patience=2.5)
        self.assertEqual(transport.told, [True, True, PATIENCE])

    def test_other_sockets(self) -> None:
        transport = FakeTransport(False)
        tune(transport, patience=2.5)
        self.assertEqual(transport.told, [])

    def test_transports_that_know_no_tcp(self) -> None:
        tune(object(), patience=2.5)


class FakeSocket:
    """A TCP socket between two addresses, whose congestion control is the system's."""

    def __init__(self, host: str, peer: str, congestion: bytes) -> None:
        self.host, self.peer = host, peer
        self.congestion = congestion + bytes(16 - len(congestion))

    def getsockname(self) -> tuple[str, int]:
        return (self.host, 1)

    def getpeername(self) -> tuple[str, int]:
        return (self.peer, 2)

    def getsockopt(self, level: int, name: int, size: int) -> bytes:
        assert (level, name, size) == (*CONGESTION, 16)
        return self.congestion

    def setsockopt(self, level: int, name: int, value: bytes) -> None:
        assert (level, name) == CONGESTION
        self.congestion = value


class UnpacedTests(SynchronousTestCase):
    """Whose congestion control is changed."""

    def _becomes(self, host: str, peer: str, system: bytes) -> bytes:
        sock = FakeSocket(host, peer, system)
        be_unpaced(sock)
        return sock.congestion.rstrip(b"\0")

    def test_within_a_host(self) -> None:
        """What paces is not kept, whether by loopback or by an address that others reach."""
        for address in ("127.0.0.1", "::1", "192.0.2.1"):
            self.assertEqual(self._becomes(address, address, b"bbr"), b"reno")

    def test_across_a_network(self) -> None:
        """The system's choice holds."""
        self.assertEqual(self._becomes("192.0.2.1", "192.0.2.2", b"bbr"), b"bbr")

    def test_what_does_not_pace(self) -> None:
        """It is left as it is within a host too."""
        self.assertEqual(self._becomes("127.0.0.1", "127.0.0.1", b"cubic"), b"cubic")

    def test_a_real_socket(self) -> None:
        """The kernel allows it to anybody, before and after the connection has gone."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        sock = socket.create_connection(listener.getsockname())
        self.addCleanup(sock.close)
        be_unpaced(sock)
        self.assertFalse(sock.getsockopt(*CONGESTION, 16).startswith(b"bbr"))
        listener.accept()[0].close()
        sock.shutdown(socket.SHUT_RDWR)
        be_unpaced(sock)
