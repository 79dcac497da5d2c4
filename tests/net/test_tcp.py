"""What a connection is told by `konnect.net.tcp.tune`."""

from __future__ import annotations

import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from konnect.net.tcp import tune

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

    def setsockopt(self, *option: int) -> None:
        self.told.append(option)

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
