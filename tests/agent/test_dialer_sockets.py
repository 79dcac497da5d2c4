"""Dials over real sockets on loopback, and lookups in real threads."""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.tcp import Client
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from konnect.agent.dialer import Dialer
from konnect.agent.dialing import DialError, lookup_error
from konnect.agent.places import place_of
from konnect.tunnel.reasons import Reason
from tests.agent.dialing import dialled


class Noted(Protocol):
    """Tells of its end."""

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)


def open_files() -> int:
    """How many file descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def no_descriptors() -> Iterator[None]:
    """As many descriptors as this process may have are open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


class SlowResolver:
    """Resolves in a thread, as the stock resolver does, when `answer` is set."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.done: Deferred[None] = Deferred()

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int, **_: Any) -> Any:
        """Begin; there is no way to stop it."""
        resolution = SimpleNamespace(name=hostName, cancel=self._cancel)
        receiver.resolutionBegan(resolution)

        def finish(_: object) -> None:
            receiver.addressResolved(IPv4Address("TCP", "127.0.0.1", portNumber))
            receiver.resolutionComplete()

        deferToThread(self.answer.wait, 10).addCallback(finish).chainDeferred(self.done)
        return resolution

    def _cancel(self) -> None:
        raise NotImplementedError


class SocketTests(TestCase):
    """Against the reactor that runs the test."""

    def setUp(self) -> None:
        """A dialer."""
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.dialer = Dialer(reactor)

    def listen(self, interface: str = "127.0.0.1") -> int:
        """The port number of a listener that accepts."""
        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        port = self.reactor.listenTCP(0, factory, interface=interface)
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    def closed_port(self) -> int:
        """A port number that nothing listens at."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            number: int = probe.getsockname()[1]
        return number

    async def failure(self, address: str, network: str = "tcp") -> DialError:
        """How a dial fails."""
        try:
            await dialled(self.dialer, network, address, Noted)
        except DialError as error:
            return error
        raise AssertionError(f"{address} was reached")

    async def reach(self, address: str) -> None:
        """Dial, and close again."""
        protocol: Any = await dialled(self.dialer, "tcp", address, Noted)
        protocol.transport.loseConnection()
        await protocol.lost

    async def test_itself(self) -> None:
        """A socket that the kernel connects to itself is refused, as on the hub."""
        create = Client.createInternetSocket

        def bound(client: Any) -> socket.socket:  # by chance, which is helped here
            sock: socket.socket = create(client)
            sock.bind(("127.0.0.1", number))
            return sock

        self.patch(Client, "createInternetSocket", bound)
        number = self.closed_port()
        failure = await self.failure(f"127.0.0.1:{number}")
        self.assertEqual(failure.text, f"dial tcp 127.0.0.1:{number}: connect: connection refused")

    async def test_connect(self) -> None:
        """An address and a name are reached."""
        number = self.listen()
        await self.reach(f"127.0.0.1:{number}")
        await self.reach(f"localhost:{number}")

    async def test_ipv6(self) -> None:
        """IPv6 is reached, and refuses with brackets."""
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            raise SkipTest("there is no IPv6 loopback") from None
        await self.reach(f"[::1]:{self.listen('::1')}")
        number = self.closed_port()
        error = await self.failure(f"[::1]:{number}")
        self.assertEqual(error.text, f"dial tcp [::1]:{number}: connect: connection refused")

    async def test_refused(self) -> None:
        """A refusal has the IP address, for a name too."""
        number = self.closed_port()
        text = f"dial tcp 127.0.0.1:{number}: connect: connection refused"
        self.assertEqual((await self.failure(f"127.0.0.1:{number}")).text, text)
        self.assertEqual(
            (await self.failure(f"localhost:{number}", "tcp4")).text, text.replace("tcp", "tcp4", 1)
        )

    async def test_no_such_host(self) -> None:
        """The C library does not know this name, which is reserved for being unknown."""
        error = await self.failure("no-such-host.invalid:80")
        self.assertIn("dial tcp: lookup no-such-host.invalid: ", error.text)

    async def test_out_of_files(self) -> None:
        """Without a free file descriptor the text says so, and that it is the agent's fault."""
        with no_descriptors():
            dial = dialled(self.dialer, "tcp", "127.0.0.1:9", Noted)
        with self.assertRaises(DialError) as caught:
            await dial
        self.assertEqual(caught.exception.text, "dial tcp 127.0.0.1:9: socket: too many open files")
        self.assertIs(caught.exception.reason, Reason.TOO_MANY_FILES)

    async def test_lookup_without_files(self) -> None:
        """A name that could not be asked for is not said to be unknown."""
        place = place_of("tcp", "somewhere:80")
        with no_descriptors():
            error = lookup_error(place)
        self.assertEqual(error.text, "dial tcp: lookup somewhere: socket: too many open files")
        self.assertIs(error.reason, Reason.TOO_MANY_FILES)
        self.assertIs(lookup_error(place).reason, Reason.NO_SUCH_HOST)

    async def test_cancel_closes(self) -> None:
        """Cancelling gives every file descriptor back."""
        number = self.listen()
        before = open_files()
        dials = [dialled(self.dialer, "tcp", f"127.0.0.1:{number}", Noted) for _ in range(20)]
        self.assertEqual(open_files(), before + 20)
        for dial in dials:
            dial.cancel()
            await self.assertFailure(dial, CancelledError)
        self.assertEqual(open_files(), before)
        # Let the listener's side of whatever got that far be over, too.
        await deferLater(self.reactor, 0.05)

    async def test_cancelled_lookup(self) -> None:
        """A lookup whose dial was cancelled ends in its thread, unheard and unlogged."""
        resolver = SlowResolver()
        self.addCleanup(resolver.answer.set)
        dialed: list[object] = []
        self.dialer = Dialer(
            SimpleNamespace(
                callLater=self.reactor.callLater,
                seconds=self.reactor.seconds,
                connectTCP=lambda *args, **_: dialed.append(args),
                nameResolver=resolver,
            )
        )
        dial = dialled(self.dialer, "tcp", "slow.example:80", Noted)
        dial.cancel()
        await self.assertFailure(dial, CancelledError)
        resolver.answer.set()
        await resolver.done
        self.assertEqual(dialed, [])
