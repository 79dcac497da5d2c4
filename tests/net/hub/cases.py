"""The case that runs one set of tests on stock transports and on the hub's, TCP and unix."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.trial.unittest import TestCase

from konnect.net.hub.reactor import HubReactor
from tests.functional.waiting import descriptors, the_reactor, turns, until
from tests.net.hub.peers import Keeping, Recorder, Remote


class TransportCase(TestCase):
    """Accepts and makes connections; afterwards no descriptor is left."""

    timeout = 60
    hub = True
    unix = False

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        return Deferred.fromCoroutine(self._begin())

    async def _begin(self) -> None:
        stock = the_reactor()
        self.reactor: Any = HubReactor(stock) if self.hub else stock
        self.directory = tempfile.mkdtemp(prefix="konnect-hub-")
        self.path = f"{self.directory}/s"
        self._ports: list[Any] = []
        self._remotes: list[Any] = []
        self._protocols: list[Any] = []
        # The reactor's own descriptors come with its first turn and its first port.
        await stock.listenTCP(0, Keeping(), interface="127.0.0.1").stopListening()
        await turns()
        self._descriptors = descriptors()
        self.addCleanup(lambda: Deferred.fromCoroutine(self._finish()))

    async def _finish(self) -> None:
        for port in self._ports:
            await port.stopListening()
        for remote in self._remotes:
            remote.close()
        for protocol in self._protocols:
            if not protocol.lost:
                protocol.wire.abortConnection()
        await until(lambda: all(p.lost for p in self._protocols), "every connection's end")
        shutil.rmtree(self.directory)
        await until(lambda: len(descriptors()) <= len(self._descriptors), "descriptors are closed")
        for protocol in self._protocols:
            self.assertEqual(protocol.calls.count("connectionLost"), 1)

    # -- connecting

    def server_text(self) -> str:
        """The endpoint string that is listened on."""
        return f"unix:{self.path}:lockfile=0" if self.unix else "tcp:0:interface=127.0.0.1"

    async def listen(self, factory: Any) -> Any:
        port = await serverFromString(self.reactor, self.server_text()).listen(factory)
        self._ports.append(port)
        return port

    def remote(self, sock: Any) -> Remote:
        """A remote end that is closed with the test."""
        remote = Remote(sock)
        self._remotes.append(remote)
        return remote

    def call(self, port: Any) -> Remote:
        """Connect a plain socket to our port."""
        sock = socket.socket(socket.AF_UNIX if self.unix else socket.AF_INET)
        host = port.getHost()
        sock.connect(self.path if self.unix else (host.host, host.port))
        return self.remote(sock)

    async def accepted(self, make: Callable[[], Any] = Recorder) -> tuple[Any, Remote]:
        """A connection that our listener accepted: its protocol, and the other end."""
        factory = Keeping(make)
        port = await self.listen(factory)
        remote = self.call(port)
        await until(lambda: factory.made and factory.made[0].made, "the connection")
        self._protocols.append(factory.made[0])
        return factory.made[0], remote

    def plain_listener(self) -> socket.socket:
        """A listening socket of Python's."""
        listener = socket.socket(socket.AF_UNIX if self.unix else socket.AF_INET)
        listener.bind(self.path if self.unix else ("127.0.0.1", 0))
        listener.listen(16)
        self._remotes.append(listener)
        return listener

    def client_text(self, listener: socket.socket) -> str:
        """The endpoint string that reaches a listening socket."""
        if self.unix:
            return f"unix:{self.path}"
        return f"tcp:127.0.0.1:{listener.getsockname()[1]}"

    async def connected(self, make: Callable[[], Any] = Recorder) -> tuple[Any, Remote]:
        """A connection that we made: its protocol, and the other end."""
        listener = self.plain_listener()
        endpoint = clientFromString(self.reactor, self.client_text(listener))
        protocol: Any = await endpoint.connect(Keeping(make))
        self._protocols.append(protocol)
        return protocol, self.remote(listener.accept()[0])

    async def lost(self, protocol: Any) -> type[BaseException]:
        """Wait for the connection's end; the kind of its reason."""
        await until(lambda: protocol.lost, "the connection's end")
        kind: type[BaseException] = type(protocol.reasons[0].value)
        return kind
