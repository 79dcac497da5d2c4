"""Tests of konnect.net.stock."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.endpoints import clientFromString, quoteStringArgument
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.tcp import Client
from twisted.trial.unittest import TestCase

from konnect.net import stock
from konnect.net.stock import StockReactor
from tests.certificates import pki
from tests.functional.waiting import descriptors, the_reactor, until
from tests.ports import free_port


class Telling(ClientFactory):
    """Notes what it is told."""

    noisy = False
    protocol = Protocol

    def __init__(self) -> None:
        self.told: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        self.told.append("built")
        return super().buildProtocol(addr)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self.told.append(reason.type)

    def clientConnectionLost(self, connector: Any, reason: Any) -> None:
        self.told.append(reason.type)

    def stopFactory(self) -> None:
        self.told.append("stopped")


class StockReactorTests(TestCase):
    """Connections of the reactor that runs the test."""

    timeout = 60

    def setUp(self) -> None:
        """The kernel may draw any port for a socket of ours."""
        self.reactor: Any = StockReactor(the_reactor())
        self.patch(stock, "DRAWN_PORTS", range(65536))

    def meet_itself(self, number: int) -> None:
        """Let the kernel draw this one, which it does by chance."""

        def bound(client: Any) -> socket.socket:
            sock = socket.socket()
            sock.setblocking(False)
            sock.bind(("127.0.0.1", number))
            return sock

        self.patch(Client, "createInternetSocket", bound)

    def test_the_same_otherwise(self) -> None:
        """It is what the reactor is."""
        self.assertTrue(IReactorTCP.providedBy(self.reactor))
        self.assertEqual(self.reactor.callLater, the_reactor().callLater)

    async def test_itself(self) -> None:
        """A connection to itself is a refusal, also below TLS, and leaves nothing open."""
        await deferLater(the_reactor(), 0)  # the reactor's own descriptors come with its first turn
        before = descriptors()
        ca = quoteStringArgument(pki().agent_ca)
        for text in ("tcp:127.0.0.1:{}", "mtls:127.0.0.1:{}:ca=" + ca):
            number = free_port()
            self.meet_itself(number)
            endpoint = clientFromString(self.reactor, text.format(number))
            with self.assertRaises(ConnectionRefusedError):
                await endpoint.connect(Telling())
            await until(lambda: descriptors() == before, "the socket is closed")

    async def test_told_once(self) -> None:
        """A factory without an endpoint hears of a failure, and of no connection."""
        number = free_port()
        self.meet_itself(number)
        factory = Telling()
        self.reactor.connectTCP("127.0.0.1", number, factory)
        await until(lambda: "stopped" in factory.told, "the factory's end")
        self.assertEqual(factory.told, [ConnectionRefusedError, "stopped"])

    async def test_another(self) -> None:
        """A connection to somebody is as ever."""
        listening = Factory.forProtocol(Protocol)
        listening.noisy = False
        port = the_reactor().listenTCP(0, listening, interface="127.0.0.1")
        factory = Telling()
        connector = self.reactor.connectTCP("127.0.0.1", port.getHost().port, factory)
        await until(lambda: factory.told, "the connection")
        connector.disconnect()
        await until(lambda: "stopped" in factory.told, "the factory's end")
        self.assertEqual(factory.told, ["built", ConnectionDone, "stopped"])
        await port.stopListening()

    async def test_not_asked(self) -> None:
        """Where the kernel draws no port of its own from, nobody is asked whom it met."""
        self.patch(stock, "DRAWN_PORTS", range(1))
        self.patch(stock, "meets_itself", None)
        factory = Telling()
        connector = self.reactor.connectTCP("127.0.0.1", free_port(), factory)
        self.assertIs(connector.factory, factory)
        await until(lambda: "stopped" in factory.told, "the factory's end")
