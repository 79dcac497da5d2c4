"""The health and admin ports answer as upstream's do."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from konnect.ops.health import Checks, admin_site, health_site
from konnect.ops.web import CONNECTIONS, IDLE_TIMEOUT, Site
from tests.ops.web import ask, connect

TEXT = "text/plain; charset=utf-8"
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "FOO")


class SiteTestCase(SynchronousTestCase):
    """Base: a site of each kind, and checks that can be changed."""

    checks: Checks = (True, [("ping", True, ""), ("server-connected", True, "")])

    def setUp(self) -> None:
        """A clock for the connections' timeouts."""
        self.clock = Clock()

    def site(self, style: str) -> Site:
        """A health site."""
        return health_site(
            ready=lambda: self.checks,
            metrics=lambda: b"a 1\n",
            style="proxy" if style == "proxy" else "agent",
            reactor=self.clock,
        )

    def assert_answer(
        self, site: Site, path: str, status: int, body: str, content_type: str = TEXT
    ) -> None:
        """Every method gets this answer, with its length; HEAD without the body."""
        for method in METHODS:
            self.assertEqual(ask(site, path, method)[::2], (status, body), (method, path))
        _, headers, nothing = ask(site, path, "HEAD")
        self.assertEqual(nothing, "")
        self.assertEqual(headers["content-type"], content_type)
        self.assertEqual(headers["content-length"], str(len(body)))


class HealthTests(SiteTestCase):
    """What both have in common."""

    def test_alive(self) -> None:
        """`/healthz` is `ok` whatever the checks say."""
        self.checks = (False, [("server-connected", False, "no")])
        for style in ("proxy", "agent"):
            self.assert_answer(self.site(style), "/healthz", 200, "ok")

    def test_metrics(self) -> None:
        """`/metrics` is in the text format, with or without a query."""
        content_type = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
        for style in ("proxy", "agent"):
            self.assert_answer(self.site(style), "/metrics", 200, "a 1\n", content_type)
            self.assert_answer(self.site(style), "/metrics?x=y", 200, "a 1\n", content_type)

    def test_other_paths(self) -> None:
        """All else is 404, paths that only begin alike included."""
        for style in ("proxy", "agent"):
            for path in ("/", "/healthz/", "/healthz/x", "/readyzz", "/debug/pprof/", "/%2e"):
                self.assert_answer(self.site(style), path, 404, "404 page not found\n")
        _, headers, _ = ask(self.site("proxy"), "/nope")
        self.assertEqual(headers["x-content-type-options"], "nosniff")

    def test_written_in_other_ways(self) -> None:
        """A path may be percent-encoded, and be that of a whole URL, as of a proxy's clients."""
        for style in ("proxy", "agent"):
            for path in ("/%68ealthz", "/health%7A?x", "http://a:1/healthz", "HTTPS://b/healthz?x"):
                self.assert_answer(self.site(style), path, 200, "ok")
            for path in ("http://a/", "http://a", "http://healthz", "://a/healthz", "/%zz"):
                self.assert_answer(self.site(style), path, 404, "404 page not found\n")

    def test_no_version(self) -> None:
        """Nobody is told what software this is."""
        self.assertNotIn("server", ask(self.site("proxy"), "/healthz")[1])


class ProxyReadinessTests(SiteTestCase):
    """The proxy's `/readyz`."""

    def test_ready(self) -> None:
        """Ready is 200 `ok`; a proxy knows no `?verbose`."""
        for path in ("/readyz", "/ready", "/readyz?verbose"):
            self.assert_answer(self.site("proxy"), path, 200, "ok")

    def test_not_ready(self) -> None:
        """Not ready is 500 with the reason."""
        why = "no connection to any proxy agent"
        self.checks = (False, [("agents", False, why), ("other", True, "")])
        for path in ("/readyz", "/ready"):
            self.assert_answer(self.site("proxy"), path, 500, why)


class AgentReadinessTests(SiteTestCase):
    """The agent's `/readyz`."""

    def test_ready(self) -> None:
        """Ready is 200 `ok`, and the list of checks for `?verbose` with or without a value."""
        verbose = "[+]ping ok\n[+]server-connected ok\ncheck passed\n"
        for path in ("/readyz", "/ready"):
            self.assert_answer(self.site("agent"), path, 200, "ok")
            self.assert_answer(self.site("agent"), path + "?verbose", 200, verbose)
            self.assert_answer(self.site("agent"), path + "?a=b&verbose=false", 200, verbose)

    def test_details(self) -> None:
        """What a check that passed has to say is in the verbose answers only."""
        servers = ("servers", True, "1 connected, 3 expected, 2 known")
        self.checks = (True, [("ping", True, ""), servers])
        verbose = "[+]ping ok\n[+]servers ok: 1 connected, 3 expected, 2 known\n"
        self.assert_answer(self.site("agent"), "/readyz", 200, "ok")
        self.assert_answer(self.site("agent"), "/readyz?verbose", 200, verbose + "check passed\n")
        self.checks = (False, [("ping", False, "no"), servers])
        failed = verbose.replace("[+]ping ok", "[-]ping failed: no")
        self.assert_answer(self.site("agent"), "/readyz", 503, "[-]ping failed: no\n")
        self.assert_answer(self.site("agent"), "/readyz?verbose", 503, failed)

    def test_not_ready(self) -> None:
        """Not ready is 503 with the list of checks, asked for or not."""
        failed = ("server-connected", False, "no servers connected")
        self.checks = (False, [("ping", True, ""), failed])
        body = "[+]ping ok\n[-]server-connected failed: no servers connected\n"
        for path in ("/readyz", "/ready", "/readyz?verbose"):
            self.assert_answer(self.site("agent"), path, 503, body)


class AdminTests(SiteTestCase):
    """The admin port."""

    def test_proxy(self) -> None:
        """The proxy's has the metrics, and neither health nor profiles."""
        site = admin_site(metrics=lambda: b"a 1\n", reactor=self.clock)
        self.assertEqual(ask(site, "/metrics")[::2], (200, "a 1\n"))
        for path in ("/healthz", "/readyz", "/debug/pprof/"):
            self.assert_answer(site, path, 404, "404 page not found\n")

    def test_agent(self) -> None:
        """The agent's shows the way to the health port of the host that was asked, query kept."""
        site = admin_site(health_port=8093, reactor=self.clock)
        for host, place in {
            "node:8094": "//node:8093/metrics?x=y",
            "node": "//node:8093/metrics?x=y",
            "10.0.0.1:8094": "//10.0.0.1:8093/metrics?x=y",
            "[::1]:8094": "//[::1]:8093/metrics?x=y",
            "[::1]": "//[::1]:8093/metrics?x=y",
        }.items():
            status, headers, body = ask(site, "/metrics?x=y", host=host)
            self.assertEqual((status, headers["location"]), (301, place))
            self.assertEqual(headers["content-type"], "text/html; charset=utf-8")
            self.assertEqual(body, f'<a href="{place}">Moved Permanently</a>.\n\n')
        self.assertEqual(ask(site, "/healthz")[0], 404)
        headers = ask(site, "http://other:5/metrics?x=y", host="node")[1]
        self.assertEqual(headers["location"], "//other:8093/metrics?x=y")

    def test_agent_other_methods(self) -> None:
        """The way is shown without a page to those who did not ask for one."""
        site = admin_site(health_port=1, reactor=self.clock)
        status, headers, body = ask(site, "/metrics", "POST")
        self.assertEqual((status, headers["location"], body), (301, "//a:1/metrics", ""))
        self.assertNotIn("content-type", headers)

    def test_no_markup_from_hosts(self) -> None:
        """A Host header cannot put markup into the page."""
        site = admin_site(health_port=1, reactor=self.clock)
        _, _, body = ask(site, "/metrics", host='"><script>')
        self.assertNotIn("<script>", body)

    def test_one_of_two(self) -> None:
        """A site with both metrics and a port, or with neither, is a mistake."""
        self.assertRaises(ValueError, admin_site, reactor=self.clock)
        self.assertRaises(
            ValueError, admin_site, metrics=lambda: b"", health_port=1, reactor=self.clock
        )


def _remembering(make: Callable[..., Any], made: list[Any]) -> Callable[..., Any]:
    def remember(*args: Any) -> Any:
        made.append(make(*args))
        return made[-1]

    return remember


class BoundTests(SiteTestCase):
    """What a client may cost."""

    def test_idle(self) -> None:
        """A silent connection is closed."""
        _, transport = connect(self.site("proxy"))
        self.clock.advance(IDLE_TIMEOUT - 1)
        self.assertFalse(transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(transport.disconnecting)

    def test_too_many_connections(self) -> None:
        """More than so many connections are not served, until one of them is gone."""
        site = self.site("proxy")
        protocols = [connect(site)[0] for _ in range(CONNECTIONS)]
        self.assertIsNone(site.buildProtocol(None))
        protocols[0].connectionLost(Failure(ConnectionDone()))
        self.assertEqual(ask(site, "/healthz")[0], 200)
        for protocol in protocols[1:]:
            protocol.connectionLost(Failure(ConnectionDone()))

    def test_bodies_are_dropped(self) -> None:
        """A body is taken and thrown away, whatever it claims to be; nothing of it is kept."""
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            requests: list[Any] = []
            site: Any = self.site("agent")
            site.requestFactory = _remembering(site.requestFactory, requests)
            protocol, transport = connect(site)
            protocol.dataReceived(
                b"POST /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n"
                b"Content-Type: " + kind.encode() + b"\r\n\r\nverbose=1&"
            )
            self.assertEqual(transport.value(), b"")
            protocol.dataReceived(b"a" * 999_989)
            self.assertIsInstance(requests[0].content, BytesIO)  # and not a file
            self.assertEqual(requests[0].content.tell(), 0)
            protocol.dataReceived(b"a")
            self.assertTrue(transport.value().endswith(b"\r\n\r\nok"))

    def test_asked_without_waiting(self) -> None:
        """Of many requests in one read two are answered, then the connection is closed."""
        protocol, transport = connect(self.site("proxy"))
        protocol.dataReceived(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
        self.assertEqual(transport.value().count(b"\r\n\r\nok"), 2)
        self.assertEqual(transport.value().lower().count(b"connection: close"), 1)
        self.assertTrue(transport.disconnecting)

    def test_asked_before_the_answer(self) -> None:
        """Nor are more of them answered that have come while an answer was made."""
        answers: list[Deferred[bytes]] = []

        def metrics() -> Deferred[bytes]:
            answers.append(Deferred())
            return answers[-1]

        protocol, transport = connect(admin_site(metrics=metrics, reactor=self.clock))
        for _ in range(100):
            protocol.dataReceived(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        for made in answers:  # which grow meanwhile
            made.callback(b"a 1\n")
        self.assertEqual((len(answers), transport.value().count(b"a 1\n")), (3, 3))
        self.assertTrue(transport.disconnecting)

    def test_asked_again(self) -> None:
        """A connection that waits for its answers is kept."""
        protocol, transport = connect(self.site("proxy"))
        for _ in range(10):
            for piece in (b"GET /healthz HT", b"TP/1.1\r\nHost: a\r\n\r\n"):
                protocol.dataReceived(piece)
        self.assertEqual(transport.value().count(b"\r\n\r\nok"), 10)
        self.assertFalse(transport.disconnecting)

    def test_quiet(self) -> None:
        """A started site has no clock of its own running, and logs no request."""
        site = self.site("proxy")
        site.doStart()
        self.addCleanup(site.doStop)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        with capturedLogs() as events:
            ask(site, "/healthz")
        self.assertEqual(events, [])
