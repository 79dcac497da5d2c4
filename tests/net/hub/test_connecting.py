"""Connecting on the hub: Twisted's endpoints over a HubReactor, and the short way."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, clientFromString
from twisted.internet.error import (
    ConnectBindError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionRefusedError,
    NoProtocol,
    TimeoutError,
)

from konnect.net.endpoints import MtlsClientParser
from konnect.net.hub import connecting
from konnect.net.hub.dialing import hub_reach
from konnect.net.hub.loop import hub_of
from konnect.net.hub.tls import TlsTransport
from konnect.net.hub.transport import StreamTransport
from tests.certificates import pki
from tests.functional.blackhole import Blackhole
from tests.functional.waiting import turns, until
from tests.net.hub.cases import TransportCase
from tests.net.hub.peers import Keeping, Recorder, TlsRecorder
from tests.ports import free_port


class AddressTests(TransportCase):
    """What connects to one address."""

    def endpoint(self, port: int, timeout: float = 5.0) -> Any:
        """Twisted's endpoint over the HubReactor."""
        return TCP4ClientEndpoint(self.reactor, "127.0.0.1", port, timeout=timeout)

    async def test_connect(self) -> None:
        """A connection is made, and the factory is told of start and stop."""
        listener = self.plain_listener()
        factory = Keeping()
        protocol: Any = await self.endpoint(listener.getsockname()[1]).connect(factory)
        self._protocols.append(protocol)
        self.assertIsInstance(protocol.wire, StreamTransport)
        self.assertEqual((factory.started, factory.stopped), (1, 0))
        remote = self.remote(listener.accept()[0])
        remote.close()
        self.assertEqual(await self.lost(protocol), ConnectionDone)
        self.assertEqual((factory.started, factory.stopped), (1, 1))

    async def test_refused(self) -> None:
        """A refusal has Twisted's error, and leaves nothing."""
        factory = Keeping()
        with self.assertRaises(ConnectionRefusedError):
            await self.endpoint(free_port()).connect(factory)
        await until(lambda: factory.stopped, "the factory's end")
        self.assertEqual((factory.started, factory.stopped), (1, 1))

    async def test_cancel(self) -> None:
        """An attempt that is cancelled ends at once and leaves nothing."""
        hole = Blackhole()
        try:
            attempt = self.endpoint(hole.port).connect(Keeping())
            await turns()
            attempt.cancel()
            with self.assertRaises(ConnectingCancelledError):
                await attempt
        finally:
            hole.close()

    async def test_cancel_at_once(self) -> None:
        """Cancelling in the moment of the call is possible too, also when it will succeed."""
        listener = self.plain_listener()
        attempt = self.endpoint(listener.getsockname()[1]).connect(Keeping())
        attempt.cancel()
        with self.assertRaises((ConnectingCancelledError, CancelledError)):
            await attempt
        await turns()

    async def test_no_protocol(self) -> None:
        """A factory that makes no protocol fails the attempt and closes the connection."""
        listener = self.plain_listener()
        with self.assertRaises(NoProtocol):
            await self.endpoint(listener.getsockname()[1]).connect(Keeping(lambda: None))
        self.assertEqual(await self.remote(listener.accept()[0]).end(), "end")

    async def test_error_in_build_protocol(self) -> None:
        """A factory that raises fails the attempt with that and closes the connection."""
        listener = self.plain_listener()

        def make() -> Any:
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            await self.endpoint(listener.getsockname()[1]).connect(Keeping(make))
        self.assertEqual(await self.remote(listener.accept()[0]).end(), "end")


class Taking:
    """What an attempt by the short way comes to."""

    def __init__(self) -> None:
        self.results: list[Any] = []

    def connected(self, protocol: Any) -> None:
        """See `Taker`."""
        self.results.append(protocol)

    def failed(self, error: Exception) -> None:
        """See `Taker`."""
        self.results.append(error)


class ShortWayTests(TransportCase):
    """The agent's way to destinations."""

    def reach(self, port: int, make: Any = Recorder, ip: str = "127.0.0.1") -> tuple[Any, Taking]:
        """An attempt that has begun, and who hears of it."""
        taking = Taking()
        attempt = hub_reach(self.reactor)(ip, port, make, taking)
        self.assertEqual(taking.results, [], "never at once")
        return attempt, taking

    async def result(self, port: int, make: Any = Recorder, ip: str = "127.0.0.1") -> Any:
        """What becomes of an attempt."""
        _, taking = self.reach(port, make, ip)
        await until(lambda: taking.results, "the attempt's outcome")
        (result,) = taking.results
        return result

    async def test_connect(self) -> None:
        """A connection is made; the protocol is told before who asked."""
        listener = self.plain_listener()
        protocol = await self.result(listener.getsockname()[1])
        self._protocols.append(protocol)
        self.assertIsInstance(protocol.wire, StreamTransport)
        self.assertTrue(protocol.wire.getTcpNoDelay())
        remote = self.remote(listener.accept()[0])
        protocol.wire.write(b"hello")
        self.assertEqual(await remote.hear(5), b"hello")
        remote.close()
        self.assertEqual(await self.lost(protocol), ConnectionDone)

    async def test_refused(self) -> None:
        """A refusal has Twisted's error, and leaves nothing."""
        self.assertIsInstance(await self.result(free_port()), ConnectionRefusedError)

    async def test_itself(self) -> None:
        """A socket that the kernel connects to itself, since its own port is the one asked for and
        nobody listens there, is refused: nobody is there."""

        class Drawn(socket.SocketType):  # by chance, which is helped here
            def connect_ex(self, address: Any) -> int:
                self.bind(address)
                return super().connect_ex(address)

        self.patch(connecting, "Socket", Drawn)
        self.patch(connecting, "DRAWN_PORTS", range(65536))
        result = await self.result(free_port())
        self.assertIsInstance(result, ConnectionRefusedError)
        self.assertEqual(result.osError, errno.ECONNREFUSED)

    async def test_not_itself(self) -> None:
        """Where the kernel draws no port of its own from, nobody is asked for it."""
        asked: list[str] = []

        class Asked(socket.SocketType):
            def getsockname(self) -> Any:
                asked.append("name")
                return super().getsockname()

        self.patch(connecting, "Socket", Asked)
        port = self.plain_listener().getsockname()[1]
        for drawn, times in ((range(port, port + 1), 1), (range(port), 1), (range(65536), 2)):
            self.patch(connecting, "DRAWN_PORTS", drawn)
            self._protocols.append(await self.result(port))
            self.assertEqual(len(asked), times)

    async def test_same_port(self) -> None:
        """A peer with the same port at another address is no such thing."""
        listener = self.plain_listener()
        number = listener.getsockname()[1]
        endpoint = TCP4ClientEndpoint(
            self.reactor, "127.0.0.1", number, bindAddress=("127.0.0.9", number)
        )
        self._protocols.append(await endpoint.connect(Keeping()))

    async def test_no_such_zone(self) -> None:
        """A zone that does not exist is a failure like others."""
        self.assertIsInstance(await self.result(80, ip="fe80::1%nosuch0"), OSError)

    async def test_cancel(self) -> None:
        """An attempt that is cancelled calls nobody and leaves nothing, however far it got."""
        hole = Blackhole()
        try:
            attempt, taking = self.reach(hole.port)
            await turns()
            attempt.cancel()
            attempt.cancel()
        finally:
            hole.close()
        at_once, other = self.reach(self.plain_listener().getsockname()[1])
        at_once.cancel()
        await turns()
        self.assertEqual((taking.results, other.results), ([], []))

    async def test_error_in_making(self) -> None:
        """If no protocol can be made, that is the failure, and the connection is closed."""
        listener = self.plain_listener()

        def make() -> Any:
            raise ZeroDivisionError

        self.assertIsInstance(await self.result(listener.getsockname()[1], make), ZeroDivisionError)
        self.assertEqual(await self.remote(listener.accept()[0]).end(), "end")


class HubReactorTests(TransportCase):
    """What only Twisted's endpoints do."""

    async def test_timeout(self) -> None:
        """An attempt has a time limit."""
        hole = Blackhole()
        try:
            with self.assertRaises(TimeoutError):
                await TCP4ClientEndpoint(
                    self.reactor, "127.0.0.1", hole.port, timeout=0.05
                ).connect(Keeping())
        finally:
            hole.close()

    async def test_local_address(self) -> None:
        """A connection can be told where to come from; an address that is not ours fails it."""
        listener = self.plain_listener()
        number = listener.getsockname()[1]
        endpoint = TCP4ClientEndpoint(
            self.reactor, "127.0.0.1", number, bindAddress=("127.0.0.9", 0)
        )
        self._protocols.append(await endpoint.connect(Keeping()))
        self.assertEqual(self.remote(listener.accept()[0]).sock.getpeername()[0], "127.0.0.9")
        endpoint = TCP4ClientEndpoint(
            self.reactor, "127.0.0.1", number, bindAddress=("192.0.2.1", 0)
        )
        with self.assertRaises(ConnectBindError):
            await endpoint.connect(Keeping())

    async def test_names(self) -> None:
        """Names are looked up and raced by Twisted, and the connection is the hub's."""
        listener = self.plain_listener()
        endpoint = HostnameEndpoint(self.reactor, "localhost", listener.getsockname()[1])
        protocol: Any = await endpoint.connect(Keeping())
        self._protocols.append(protocol)
        self.assertIsInstance(protocol.wire, StreamTransport)

    async def test_unix(self) -> None:
        """A unix socket is connected to by its endpoint string; a missing one is an error."""
        with self.assertRaises(OSError if False else Exception) as caught:
            await clientFromString(self.reactor, f"unix:{self.path}").connect(Keeping())
        self.assertIn("No such file", str(caught.exception))
        listener = socket.socket(socket.AF_UNIX)
        self._remotes.append(listener)
        listener.bind(self.path)
        listener.listen()
        protocol: Any = await clientFromString(self.reactor, f"unix:{self.path}").connect(Keeping())
        self._protocols.append(protocol)
        self.assertIsInstance(protocol.wire, StreamTransport)

    async def test_others_are_stock(self) -> None:
        """What the hub does not know is the stock reactor's."""
        self.assertIs(self.reactor.callLater.__self__, self.reactor.stock)
        self.assertIs(hub_of(self.reactor), hub_of(self.reactor.stock))
        listener = self.plain_listener()
        number = listener.getsockname()[1]
        protocol: Any = await clientFromString(self.reactor, f"tcp:localhost:{number}").connect(
            Keeping()
        )
        self._protocols.append(protocol)

    async def test_tls(self) -> None:
        """An mtls: client connects by name, with its transport taking the found socket over."""
        listener = self.plain_listener()
        files = pki()
        factory = Keeping(TlsRecorder)
        endpoint = MtlsClientParser().parseStreamClient(
            self.reactor, "localhost", str(listener.getsockname()[1]), ca=files.frontend_ca
        )
        protocol: Any = await endpoint.connect(factory)
        self._protocols.append(protocol)
        self.assertIsInstance(protocol.wire, TlsTransport)
        self.assertTrue(protocol.wire.getTcpNoDelay())
        self.remote(listener.accept()[0]).close()
        await self.lost(protocol)
        self.assertEqual((factory.started, factory.stopped), (1, 1))

    async def test_tls_refused(self) -> None:
        """An mtls: client that cannot connect tells why and leaves nothing."""
        factory = Keeping(TlsRecorder)
        endpoint = MtlsClientParser().parseStreamClient(
            self.reactor, "127.0.0.1", str(free_port()), ca=pki().frontend_ca
        )
        with self.assertRaises(ConnectionRefusedError):
            await endpoint.connect(factory)
        self.assertEqual((factory.started, factory.stopped), (1, 1))
        await until(lambda: True, "a turn")
