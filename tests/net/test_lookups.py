"""Tests of konnect.net.lookups."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet._resolver import GAIResolver
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from konnect.agent.lookup import Lookup
from konnect.net.lookups import Lookups, install


@implementer(IReactorPluggableNameResolver)
class Threads:
    """A reactor and a thread, which works when the test says so."""

    def __init__(self) -> None:
        self.queue: list[Callable[[], None]] = []
        self.started = False
        self.nameResolver: Any = None

    def start(self) -> None:
        self.started = True

    def installNameResolver(self, resolver: Any) -> Any:
        self.nameResolver = resolver

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:
        function(*args)

    def callInThreadWithCallback(
        self, told: Callable[[bool, Any], None], function: Callable[..., Any], *args: Any
    ) -> None:
        self.queue.append(lambda: told(True, function(*args)))

    def work(self) -> None:
        """Do all there is to do."""
        while self.queue:
            self.queue.pop(0)()


class LookupsTests(SynchronousTestCase):
    """What the C library is asked, and who is told."""

    def setUp(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.patch(socket, "getaddrinfo", self.answer)
        self.threads = Threads()
        self.lookups = Lookups(self.threads, self.threads)
        self.found: list[list[str]] = []

    def answer(self, *what: Any) -> list[Any]:
        """The C library."""
        self.asked.append(what)
        if what[0] == "none":
            raise socket.gaierror("no such host")
        if what[0] == "poor":
            raise OSError(errno.EMFILE, "Too many open files")
        if what[0] == "wrong":
            raise UnicodeError("label too long")
        return [
            (socket.AF_INET6, 1, 6, "", ("fe80::1", what[1], 0, 2)),
            (socket.AF_INET, 1, 6, "", ("10.0.0.1", what[1])),
        ]

    def look_up(self, name: str, **more: Any) -> Lookup:
        """Ask as a dial does."""
        lookup = Lookup(self.found.append)
        self.lookups.resolveHostName(lookup, name, 80, **more)
        return lookup

    def test_found(self) -> None:
        """Who asks gets the addresses in the C library's order, or none."""
        for name in ("host", "none", "wrong"):
            self.look_up(name)
        self.threads.work()
        self.assertEqual(self.found, [["fe80::1%2", "10.0.0.1"], [], []])

    def test_problems(self) -> None:
        """Who asks can see why nothing was found, if the C library has said it."""
        poor, none, host = map(self.look_up, ("poor", "none", "host"))
        self.threads.work()
        self.assertEqual(getattr(poor.problem, "errno", None), errno.EMFILE)
        self.assertIsInstance(none.problem, socket.gaierror)
        self.assertIsNone(host.problem)
        self.assertEqual([len(found) for found in self.found], [0, 0, 2])

    def test_no_thread(self) -> None:
        """Where no thread can be started, nothing is found, and it is said why."""

        def refuse(*_: Any) -> None:
            raise RuntimeError("can't start new thread")

        self.patch(self.threads, "callInThreadWithCallback", refuse)
        lookup = self.look_up("host")
        self.assertEqual(self.found, [[]])
        self.assertEqual(getattr(lookup.problem, "errno", None), errno.EAGAIN)

    def test_families(self) -> None:
        """One family can be asked for, and UDP."""
        self.look_up("a")
        self.look_up("b", addressTypes=[IPv4Address])
        self.look_up("c", addressTypes=[IPv6Address], transportSemantics="UDP")
        self.look_up("d", addressTypes=[IPv4Address, IPv6Address])
        self.threads.work()
        self.assertEqual(
            self.asked,
            [
                ("a", 80, socket.AF_UNSPEC, socket.SOCK_STREAM),
                ("b", 80, socket.AF_INET, socket.SOCK_STREAM),
                ("c", 80, socket.AF_INET6, socket.SOCK_DGRAM),
                ("d", 80, socket.AF_UNSPEC, socket.SOCK_STREAM),
            ],
        )

    def test_given_up(self) -> None:
        """What was given up in the queue is never asked, and holds up nobody behind it."""
        given_up = [self.look_up(f"dead-{number}") for number in range(100)]
        self.look_up("live")
        for lookup in given_up:
            lookup.abandon()
        self.threads.work()
        self.assertEqual([what[0] for what in self.asked], ["live"])
        self.assertEqual(len(self.found), 1)

    def test_given_up_late(self) -> None:
        """Who gives up while it is told is told no more."""
        seen: list[str] = []

        class Once(Lookup):
            def addressResolved(self, address: Any) -> None:
                seen.append(address.host)
                self.abandon()

        self.lookups.resolveHostName(Once(self.found.append), "host")
        self.threads.work()
        self.assertEqual((seen, self.found), (["fe80::1"], []))

    def test_install(self) -> None:
        """The stock resolver is replaced, another that somebody chose is not."""
        stock: Any = GAIResolver
        self.threads.nameResolver = stock(self.threads, lambda: None)
        install(self.threads)
        self.assertIsInstance(self.threads.nameResolver, Lookups)
        thread = self.threads.nameResolver._pool.threadFactory(target=self.fail)
        self.assertTrue(thread.daemon, "a program's end waits for no lookup")
        chosen = self.threads.nameResolver = object()
        install(self.threads)
        self.assertIs(self.threads.nameResolver, chosen)
