"""Tests of konnect.net.renewal: files of a temporary folder, a fake clock, no threads."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.renewal import Renewal
from konnect.net.tls import ClientTls, ServerTls, client_context, server_context
from konnect.tunnel.ledger import Ledger
from tests.certificates import pki
from tests.lines import Lines
from tests.net.tls_pair import TlsPair

INTERVAL = 10.0


class Endpoint:
    """What an `mtls:` endpoint is to a Renewal."""

    def __init__(self, tls: Any) -> None:
        self.tls = tls


class RenewalCase(SynchronousTestCase):
    """A listener whose files lie in a folder of their own."""

    def setUp(self) -> None:
        p = pki()
        self.folder = Path(tempfile.mkdtemp(prefix="konnect-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.cert, self.key, self.ca = (str(self.folder / name) for name in ("crt", "key", "ca"))
        self.put(p.frontend_cert, p.frontend_key)
        shutil.copy(p.frontend_ca, self.ca)
        self.tls = server_context(self.cert, self.key, self.ca, ["h2"])
        self.clock = Clock()
        self.ledger = Ledger(self.clock.seconds)
        self.lines = Lines(self, "konnect.net.renewal")
        self.looks: list[Callable[[], Any]] = []
        self.renewal = self.make()
        self.renewal.follow("listener", Endpoint(self.tls))
        self.renewal.start()

    def make(self, **more: Any) -> Renewal:
        more.setdefault("now", lambda: 0.0)
        return Renewal(self.ledger, self.clock, self.in_thread, interval=INTERVAL, **more)

    def in_thread(self, look: Callable[[], Any]) -> Deferred[Any]:
        self.looks.append(look)
        return maybeDeferred(look)

    def put(self, cert: str, key: str) -> None:
        """Write over the files in place."""
        shutil.copyfile(cert, self.cert)
        shutil.copyfile(key, self.key)

    def put_other(self) -> None:
        """Write a certificate of another authority over the files."""
        p = pki()
        self.put(p.other_server_cert, p.other_server_key)

    def wait(self, looks: int = 1) -> None:
        """Until the renewal has looked so often."""
        for _ in range(looks):
            self.clock.advance(INTERVAL)

    def shown(self, tls: ServerTls | None = None) -> str | None:
        """The name in the certificate that a new connection is shown."""
        p = pki()
        ca = self.folder / "both"
        ca.write_bytes(Path(p.frontend_ca).read_bytes() + Path(p.other_ca).read_bytes())
        client = client_context(
            "localhost", str(ca), p.frontend_client_cert, p.frontend_client_key, ["h2"]
        )
        return TlsPair(tls or self.tls, client).client.peer


class FollowingTests(RenewalCase):
    """What counts as a change, and what comes of it."""

    def test_written_in_place(self) -> None:
        """Files that are written over are used by new connections, from the next look on."""
        self.assertEqual(self.shown(), "proxy-frontend")
        self.put_other()
        self.clock.advance(INTERVAL - 0.1)
        self.assertEqual(self.shown(), "proxy-frontend")
        self.clock.advance(0.1)
        self.assertEqual(self.shown(), "other-server")
        self.assertEqual(self.ledger.tls_renewals, {"taken": 1, "failed": 0})
        self.assertEqual(self.lines.texts, ["listener: new connections use the changed TLS files"])

    def test_renamed_over(self) -> None:
        """Files that others are renamed over are followed, with the times of the old ones too."""
        p = pki()
        for old, new in ((self.cert, p.other_server_cert), (self.key, p.other_server_key)):
            times = os.stat(old)
            other = shutil.copy(new, old + ".new")
            os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
            os.rename(other, old)
        self.wait()
        self.assertEqual(self.shown(), "other-server")

    def test_swap_of_a_link(self) -> None:
        """A folder is swapped below the files by one rename of a link, as Kubernetes does."""
        p = pki()
        for number, (cert, key) in enumerate(
            ((p.frontend_cert, p.frontend_key), (p.other_server_cert, p.other_server_key))
        ):
            version = self.folder / f"..v{number}"
            version.mkdir()
            shutil.copy(cert, version / "tls.crt")
            shutil.copy(key, version / "tls.key")
        (self.folder / "..data").symlink_to("..v0")
        for name in ("tls.crt", "tls.key"):
            (self.folder / name).symlink_to(f"..data/{name}")
        tls = server_context(str(self.folder / "tls.crt"), str(self.folder / "tls.key"), None)
        self.renewal.follow("volume", Endpoint(tls))
        (self.folder / "..next").symlink_to("..v1")
        os.rename(self.folder / "..next", self.folder / "..data")
        shutil.rmtree(self.folder / "..v0")
        self.wait()
        self.assertEqual(self.shown(tls), "other-server")

    def test_authorities(self) -> None:
        """A changed CA bundle decides about new clients."""
        p = pki()
        client = client_context(
            "localhost", p.frontend_ca, p.other_client_cert, p.other_client_key, ["h2"]
        )
        self.assertFalse(TlsPair(self.tls, client).server.secure)
        shutil.copyfile(p.other_ca, self.ca)
        self.wait()
        self.assertTrue(TlsPair(self.tls, client).server.secure)

    def test_client(self) -> None:
        """What a client shows and trusts is followed as well, and the name it asks for stays."""
        p = pki()
        cert, key, ca = (str(self.folder / name) for name in ("own.crt", "own.key", "own.ca"))
        shutil.copy(p.other_client_cert, cert)
        shutil.copy(p.other_client_key, key)
        shutil.copy(p.other_ca, ca)
        client: ClientTls = client_context("localhost", ca, cert, key, ["h2"])
        self.renewal.follow("link", Endpoint(client))
        self.assertFalse(TlsPair(self.tls, client).server.secure)
        shutil.copyfile(p.frontend_client_cert, cert)
        shutil.copyfile(p.frontend_client_key, key)
        shutil.copyfile(p.frontend_ca, ca)
        self.wait()
        pair = TlsPair(self.tls, client)
        self.assertTrue(pair.server.secure)
        self.assertEqual(pair.server.peer, "proxy-client")

    def test_live_connections(self) -> None:
        """What was connected before goes on as it was."""
        p = pki()
        client = client_context(
            "localhost", p.frontend_ca, p.frontend_client_cert, p.frontend_client_key, ["h2"]
        )
        pair = TlsPair(self.tls, client)
        self.put_other()
        self.wait()
        pair.say(pair.client, b"still here")
        self.assertEqual(pair.server.received, b"still here")
        self.assertFalse(TlsPair(self.tls, client).client.secure)

    def test_unchanged_files_are_not_read(self) -> None:
        """While nothing changes a look makes nothing new, and says nothing."""
        context = self.tls.context
        self.wait(3)
        self.assertEqual(len(self.looks), 3)
        self.assertIs(self.tls.context, context)
        self.assertEqual(self.lines.texts, [])

    def test_same_content(self) -> None:
        """Files with new times and the old content are read, and change nothing."""
        context = self.tls.context
        self.put(pki().frontend_cert, pki().frontend_key)
        self.wait(2)
        self.assertIs(self.tls.context, context)
        self.assertEqual(self.ledger.tls_renewals["taken"], 0)
        self.assertEqual(self.lines.texts, [])

    def test_endpoints_without_tls(self) -> None:
        """An endpoint of another kind is passed by; with nothing to follow there is no timer."""
        renewal = self.make()
        renewal.follow("frontend", object())
        calls = len(self.clock.getDelayedCalls())
        renewal.start()
        self.assertEqual(len(self.clock.getDelayedCalls()), calls)


class BrokenFilesTests(RenewalCase):
    """Files that cannot be used."""

    def test_kept(self) -> None:
        """The old stay in use, with one error line that names the file; then mended ones come."""
        Path(self.cert).write_text("nonsense")
        self.wait(4)
        self.assertEqual(self.shown(), "proxy-frontend")
        self.assertEqual(self.ledger.tls_renewals, {"taken": 0, "failed": 1})
        (line,) = self.lines.texts
        self.assertIn("listener: the changed TLS files cannot be used, new connections go", line)
        self.assertIn(f"old ones: {self.cert}: no certificate in this certificate", line)
        self.put_other()
        self.wait()
        self.assertEqual(self.shown(), "other-server")

    def test_half_replaced(self) -> None:
        """A certificate that comes a moment before its key is no error."""
        shutil.copyfile(pki().other_server_cert, self.cert)
        self.wait()
        shutil.copyfile(pki().other_server_key, self.key)
        self.wait()
        self.assertEqual(self.shown(), "other-server")
        self.assertEqual(self.ledger.tls_renewals, {"taken": 1, "failed": 0})

    def test_gone(self) -> None:
        """A file that is gone is an error as well; it says so when the old one is back."""
        os.rename(self.key, self.key + ".away")
        self.wait(2)
        self.assertIn("cannot read the private key: no such file", self.lines.texts[0])
        os.rename(self.key + ".away", self.key)
        self.wait()
        self.assertEqual(self.lines.texts[1:], ["listener: the TLS files are as before"])
        self.assertEqual(self.shown(), "proxy-frontend")

    def test_one_of_several(self) -> None:
        """A broken file holds up its own listener only."""
        other = server_context(pki().frontend_cert, pki().frontend_key, self.ca)
        self.renewal.follow("other", Endpoint(other))
        context = other.context
        Path(self.cert).write_text("nonsense")
        shutil.copyfile(pki().other_ca, self.ca)
        self.wait(2)
        self.assertIsNot(other.context, context)
        self.assertEqual(self.ledger.tls_renewals, {"taken": 1, "failed": 1})


class ToldTests(RenewalCase):
    """`look`, which SIGHUP calls."""

    def test_at_once(self) -> None:
        """Changed files are used at once, unchanged ones are said to be so."""
        self.renewal.look()
        self.assertEqual(self.lines.texts.pop(), "listener: the TLS files are as before")
        self.put_other()
        self.renewal.look()
        self.assertEqual(self.shown(), "other-server")

    def test_broken(self) -> None:
        """Files that cannot be used are an error at once."""
        Path(self.key).write_text("nonsense")
        self.renewal.look()
        self.assertEqual(self.ledger.tls_renewals["failed"], 1)

    def test_without_interval(self) -> None:
        """With an interval of 0 it is the only way."""
        renewal = Renewal(self.ledger, Clock(), self.in_thread, interval=0)
        renewal.follow("listener", Endpoint(self.tls))
        renewal.start()
        self.put_other()
        renewal.look()
        self.assertEqual(self.shown(), "other-server")

    def test_while_a_thread_looks(self) -> None:
        """Whoever calls during a slow look gets another one after it."""
        slow: list[tuple[Deferred[Any], Callable[[], Any]]] = []

        def in_thread(look: Callable[[], Any]) -> Deferred[Any]:
            slow.append((Deferred(), look))
            return slow[-1][0]

        renewal = Renewal(self.ledger, self.clock, in_thread, interval=INTERVAL)
        renewal.follow("listener", Endpoint(self.tls))
        renewal.start()
        renewal.look()
        renewal.look()
        self.clock.advance(INTERVAL)
        self.assertEqual(len(slow), 1)
        before = slow[0][1]()
        self.put_other()
        slow[0][0].callback(before)
        self.assertEqual(len(slow), 2)
        slow[1][0].callback(slow[1][1]())
        self.assertEqual(self.shown(), "other-server")
        renewal.stop()
        self.renewal.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_the_stop(self) -> None:
        """A stopped renewal has no timer, and uses nothing that a thread still finds."""
        found: Deferred[Any] = Deferred()
        renewal = Renewal(self.ledger, Clock(), lambda look: found, interval=0)
        renewal.follow("listener", Endpoint(self.tls))
        renewal.start()
        renewal.look()
        renewal.stop()
        self.put_other()
        found.callback((self.tls.source.marks(), self.tls.source.load()))
        self.assertEqual(self.shown(), "proxy-frontend")
        self.renewal.stop()
        self.renewal.look()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.shown(), "proxy-frontend")


class ExpiryTests(RenewalCase):
    """When certificates end, for the metric and in the log."""

    def test_times(self) -> None:
        """Each file of certificates has its time in the books, and a new one its new time."""
        first = dict(self.ledger.certificate_ends)
        self.assertEqual(
            set(first), {("listener", "certificate", self.cert), ("listener", "authority", self.ca)}
        )
        self.put_other()
        self.wait()
        changed = {key for key in first if first[key] != self.ledger.certificate_ends[key]}
        self.assertEqual(changed, {("listener", "certificate", self.cert)})

    def test_soon(self) -> None:
        """A certificate that ends within a week, or has ended, is warned of."""
        end = self.ledger.certificate_ends["listener", "certificate", self.cert]
        for left, words in ((86400.0, f"in {self.cert} ends 20"), (-1.0, "has ended 20")):
            renewal = self.make(now=lambda: end - left)  # noqa: B023
            renewal.follow("listener", Endpoint(self.tls))
            self.assertIn(words, self.lines.texts[0])
            del self.lines.texts[:]
        self.make(now=lambda: end - 8 * 86400.0).follow("listener", Endpoint(self.tls))
        self.assertEqual(self.lines.texts, [])
