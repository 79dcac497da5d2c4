"""Tests of konnect.ops.web beyond those of the pages that are made with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request

import konnect
from konnect.ops.web import Answer, Page, Site, parameters
from tests.ops.web import ask, connect


class SiteTests(SynchronousTestCase):
    """`Site`."""

    def site(self, **pages: Page) -> Site:
        """A site with a page for each name."""
        return Site({f"/{name}".encode(): page for name, page in pages.items()}, Clock())

    def test_date(self) -> None:
        """Answers say when they were made, as those of Go's servers do."""
        _, headers, _ = ask(self.site(a=lambda _: Answer(b"yes")), "/a")
        self.assertRegex(headers["date"], r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")

    def test_head(self) -> None:
        """HEAD is answered as GET, without the body."""
        status, headers, body = ask(self.site(a=lambda _: Answer(b"yes")), "/a", "HEAD")
        self.assertEqual((status, headers["content-length"], body), (200, "3", ""))

    def test_star(self) -> None:
        """`OPTIONS *` is for the server itself; other methods have nothing to do with it."""
        status, headers, body = ask(self.site(), "*", "OPTIONS")
        self.assertEqual((status, headers["content-length"], body), (200, "0", ""))
        self.assertNotIn("content-type", headers)
        status, headers, _ = ask(self.site(), "*")
        self.assertEqual((status, headers["connection"]), (400, "close"))
        protocol, transport = connect(self.site())
        protocol.dataReceived(b"GET * HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(transport.disconnecting)

    def test_parameters(self) -> None:
        """Those of a query that is as long as anybody would write one, and of what is not."""
        found: list[dict[str, str]] = []

        def page(request: Request) -> Answer:
            found.append(parameters(request))
            return Answer(b"")

        for query in ("a=1&b&a=%32&c=+", "x&" * 300_000):
            ask(self.site(a=page), f"/a?{query}")
        self.assertEqual(found, [{"a": "2", "b": "", "c": " "}, {"x": ""}])

    def test_mistakes(self) -> None:
        """A page that cannot be made, at once or later, is a 500 without details, and is logged."""

        def at_once(_: Request) -> Answer:
            raise RuntimeError("secret")

        def later(_: Request) -> Deferred[Answer]:
            return fail(RuntimeError("secret"))

        for page in (at_once, later):
            status, _, body = ask(self.site(a=page), "/a")
            self.assertEqual((status, body), (500, "internal error\n"))
            (logged,) = self.flushLoggedErrors(RuntimeError)
            self.assertEqual(logged.getErrorMessage(), "secret")

    def test_light(self) -> None:
        """Neither program brings in Twisted's sites and resources for its pages."""
        code = (
            "import sys, konnect.app.proxy_service, konnect.app.agent_service;"
            "sys.exit(str({'twisted.web.server', 'twisted.spread.pb'} & set(sys.modules) or ''))"
        )
        root = str(Path(konnect.__file__).parent.parent)
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": root},
            stderr=subprocess.PIPE,
            timeout=60,
            text=True,
        )
        self.assertEqual(done.stderr.strip(), "")
