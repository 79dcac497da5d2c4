"""Tests of konnect.ops.profiling: the pages below /debug/pprof/ of the admin port."""

from __future__ import annotations

import signal
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from konnect.ops.health import admin_site
from konnect.ops.profile import Frame, Profile
from konnect.ops.profiling import LONGEST, SECONDS, Profiling
from tests.ops.test_profile import read
from tests.ops.web import ask, connect

BLOCKED = Profile(values=(("delay", "nanoseconds"),), stacks={(Frame("here"),): (5,)})


class ProfilingTests(SynchronousTestCase):
    """An operator looks into the program."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.profiling = Profiling(self.clock, lambda: BLOCKED)
        self.site = admin_site(
            metrics=lambda: b"a 1\n", profiling=self.profiling, reactor=self.clock
        )

    def tearDown(self) -> None:
        self.assertEqual(signal.getitimer(signal.ITIMER_PROF), (0.0, 0.0))

    def ask_for_long(self, path: str) -> tuple[Any, StringTransport]:
        """Ask for what takes time; the connection and what comes over it."""
        protocol, transport = connect(self.site)
        request = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        protocol.dataReceived(request.encode())
        return protocol, transport

    def test_index(self) -> None:
        """The folder is completed with its slash, its page leads to the profiles."""
        status, headers, _ = ask(self.site, "/debug/pprof?a=b")
        self.assertEqual((status, headers["location"]), (301, "/debug/pprof/?a=b"))
        status, headers, body = ask(self.site, "/debug/pprof/")
        self.assertEqual((status, headers["content-type"]), (200, "text/html; charset=utf-8"))
        self.assertIn('href="profile?seconds=30"', body)

    def test_off(self) -> None:
        """Without --enable-profiling there is nothing, and metrics are there in any case."""
        site = admin_site(metrics=lambda: b"a 1\n", reactor=self.clock)
        for path in ("/debug/pprof", "/debug/pprof/", "/debug/pprof/heap"):
            self.assertEqual(ask(site, path)[0], 404, path)
        self.assertEqual(ask(self.site, "/metrics")[::2], (200, "a 1\n"))

    def test_unknown(self) -> None:
        """Profiles that are not there are named as such; so is what Python cannot do."""
        for name in ("cmdline", "mutex", "x", "profile/", "../metrics"):
            status, _, body = ask(self.site, f"/debug/pprof/{name}")
            self.assertEqual((status, body), (404, "Unknown profile\n"), name)
        self.assertEqual(ask(self.site, "/debug/pprof/trace")[0], 501)
        self.assertEqual(ask(self.site, "/debug/pprof/symbol")[::2], (200, "num_symbols: 0\n"))

    def test_at_once(self) -> None:
        """Threads, objects and stalls are shown as they are now."""
        _, _, body = ask(self.site, "/debug/pprof/goroutine?debug=1")
        self.assertIn("ProfilingTests.test_at_once", body)
        _, _, body = ask(self.site, "/debug/pprof/heap?debug=1")
        self.assertIn("\nbuiltins.list ", body)
        self.assertEqual(ask(self.site, "/debug/pprof/block?debug=1")[::2], (200, "here 5\n"))

    def test_protobuf(self) -> None:
        """Without debug it is a file for pprof."""
        _, transport = self.ask_for_long("/debug/pprof/block")
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.assertIn(b'attachment; filename="block"', head)
        self.assertEqual([list(sample.value) for sample in read(body).sample], [[5]])

    def test_not_watched(self) -> None:
        """Stalls that nobody watches for are not shown as none."""
        profiling = Profiling(self.clock)
        site = admin_site(metrics=lambda: b"", profiling=profiling, reactor=self.clock)
        status, _, body = ask(site, "/debug/pprof/block")
        self.assertEqual(status, 404)
        self.assertIn("--enable-contention-profiling", body)

    def test_takes_time(self) -> None:
        """A profile of processor time comes when its time is over; meanwhile others are refused."""
        _, transport = self.ask_for_long("/debug/pprof/profile?seconds=2")
        self.clock.advance(1.5)
        self.assertEqual(transport.value(), b"")
        for name in ("profile", "allocs"):
            status, _, body = ask(self.site, f"/debug/pprof/{name}?seconds=1")
            self.assertEqual(status, 500)
            self.assertIn("another profile is being taken", body)
        self.clock.advance(0.5)
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK"), head)
        self.assertEqual(read(body).period, 10_000_000)
        _, transport = self.ask_for_long("/debug/pprof/allocs?seconds=1&debug=1")
        self.clock.advance(1)
        self.assertIn(b"200 OK", transport.value())

    def test_seconds(self) -> None:
        """What is no number of seconds is Go's default; too many are refused."""
        for text in ("", "?seconds=x", "?seconds=-1", "?seconds=0"):
            _, transport = self.ask_for_long(f"/debug/pprof/profile{text}")
            self.clock.advance(SECONDS - 1)
            self.assertEqual(transport.value(), b"", text)
            self.clock.advance(1)
            self.assertIn(b"200 OK", transport.value(), text)
        for seconds in (LONGEST + 1, 999_999_999):
            status, _, body = ask(self.site, f"/debug/pprof/profile?seconds={seconds}")
            self.assertEqual((status, body), (400, "A profile takes at most 300 seconds\n"))

    def test_who_asked_leaves(self) -> None:
        """A profile that nobody waits for any more ends at once, and makes room for another."""
        protocol, _ = self.ask_for_long("/debug/pprof/profile")
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(signal.getitimer(signal.ITIMER_PROF), (0.0, 0.0))
        _, transport = self.ask_for_long("/debug/pprof/profile?seconds=1")
        self.clock.advance(1)
        self.assertIn(b"200 OK", transport.value())

    def test_stop(self) -> None:
        """The program's end is the profile's."""
        protocol, _ = self.ask_for_long("/debug/pprof/profile")
        self.profiling.stop()
        self.profiling.stop()
        self.assertEqual(signal.getitimer(signal.ITIMER_PROF), (0.0, 0.0))
        protocol.connectionLost(Failure(ConnectionDone()))
