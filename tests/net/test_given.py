"""Tests of konnect.net.given, with sockets that the test has bound."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import _SystemdParser
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.python.systemd import ListenFDs
from twisted.trial.unittest import TestCase

from konnect.net.given import GivenUnixServer, server_endpoint
from konnect.net.hub.reactor import HubReactor


class Accepted(Protocol):
    """Tells that it was connected."""

    def __init__(self, told: Deferred[None]) -> None:
        self.told = told

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.told.callback(None)


class GivenUnixTests(TestCase):
    """A unix socket that another process has, too."""

    def setUp(self) -> None:
        """A socket as systemd gives it: bound, with a mode and an owner of its own."""
        from twisted.internet import reactor

        self.reactor: Any = reactor
        folder = Path(tempfile.mkdtemp(prefix="konnect-test-"))
        self.addCleanup(shutil.rmtree, folder)
        self.path = folder / "given.sock"
        self.theirs = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.theirs.close)
        self.theirs.bind(str(self.path))
        self.path.chmod(0o660)
        self.theirs.listen(8)

    def connect(self) -> None:
        """Connect to it."""
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(10)
        client.connect(str(self.path))

    async def serve(self, endpoint: Any) -> None:
        """Serve one client, and stop."""
        accepted: Deferred[None] = Deferred()
        accepted.addTimeout(60, self.reactor)
        factory = Factory.forProtocol(lambda: Accepted(accepted))
        port = await endpoint.listen(factory)
        self.assertEqual(port.getHost().name, os.fsencode(self.path))
        self.connect()
        await accepted
        await port.stopListening()

    async def test_stays(self) -> None:
        """Its file keeps its mode and is not removed, and whoever connects behind the end waits for
        the next program."""
        for chosen in (self.reactor, HubReactor(self.reactor)):
            await self.serve(GivenUnixServer(chosen, os.dup(self.theirs.fileno())))
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o660)
            self.connect()
            waits, _ = self.theirs.accept()
            waits.close()

    async def test_of_another_user(self) -> None:
        """It is served where its file may be neither changed nor removed."""
        for name in ("chmod", "unlink"):
            self.patch(os, name, None)
        await self.serve(GivenUnixServer(self.reactor, os.dup(self.theirs.fileno())))

    async def test_behind_a_balancer(self) -> None:
        """It is taken as it is also where a balancer says first for whom it connects."""
        fds = ListenFDs([os.dup(self.theirs.fileno())], ["a"])
        self.patch(_SystemdParser, "_sddaemon", fds)
        await self.serve(server_endpoint(self.reactor, "haproxy:systemd:domain=UNIX:name=a"))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o660)

    async def test_no_socket(self) -> None:
        """A descriptor that is none fails."""
        reading, writing = os.pipe()
        os.close(writing)
        os.close(reading)
        with self.assertRaises(OSError):
            await GivenUnixServer(self.reactor, reading).listen(Factory())


class ServerEndpointTests(TestCase):
    """Endpoint strings."""

    def test_kinds(self) -> None:
        """Unix sockets of systemd's are taken as they are; all else is Twisted's."""
        from twisted.internet import reactor

        stock: Any = reactor
        # Twisted reads the environment when it is imported.
        self.patch(_SystemdParser, "_sddaemon", ListenFDs([3, 4], ["a", "b"]))
        for description, ours in (
            ("systemd:domain=UNIX:name=a", True),
            ("systemd:domain=INET6:name=b", False),
            ("tcp:0:interface=127.0.0.1", False),
        ):
            endpoint = server_endpoint(stock, description)
            self.assertEqual(isinstance(endpoint, GivenUnixServer), ours, description)
