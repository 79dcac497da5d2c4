"""Tests of konnect.app.open_doors."""

from __future__ import annotations

from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

import konnect.app.open_doors as open_doors_module
from konnect.app.describe import AgentEndpoints, ProxyEndpoints
from konnect.app.listening import CannotListen
from konnect.app.open_doors import agents_open_doors, guard, open_doors, open_profiles


def lines(frontend: str = "", agent: str = "") -> list[str]:
    """What is said of one frontend, or of one agent listener."""
    frontends = (("connect", frontend),) if frontend else ()
    return open_doors(ProxyEndpoints(frontends, (agent,) if agent else (), "tcp:1", "tcp:2"))


class OpenDoorsTests(SynchronousTestCase):
    def test_closed(self) -> None:
        """Unix sockets, and mTLS that demands certificates, are nothing to talk about."""
        for endpoint in ("unix:/run/k.sock:mode=770", "mtls:8090:cert=c:key=k:ca=a:alpn=h2"):
            self.assertEqual(lines(endpoint, endpoint), [], endpoint)

    def test_frontends(self) -> None:
        """A frontend for everybody is named with what closes it."""
        (plain,) = lines("tcp:1080:interface=127.0.0.1")
        self.assertIn("the connect frontend tcp:1080 is plain TCP: whoever reaches it", plain)
        self.assertIn("an mtls: endpoint with ca= closes it", plain)
        (anyone,) = lines("mtls:8090:cert=c:key=k")
        self.assertIn("mtls:8090 demands no client certificate", anyone)
        self.assertIn("--server-ca-cert", anyone)

    def test_tokens(self) -> None:
        """Where agents show tokens the port is closed, unless the tokens can be read on the way."""
        for endpoint, count in (("mtls:8091:cert=c:key=k", 0), ("tcp:8091", 1)):
            said = open_doors(ProxyEndpoints((), (endpoint,), "tcp:1", "tcp:2"), tokens=True)
            self.assertEqual(len(said), count, endpoint)
        self.assertIn("can read agents' tokens; an mtls: endpoint closes it", said[0])

    def test_agents(self) -> None:
        """An agent port for everybody is named with what closes it."""
        (line,) = lines(agent="mtls:8091:cert=/a\\:ca=b/c:key=k:interface=0.0.0.0")
        self.assertIn("the agent listener mtls:8091 demands no client certificate", line)
        self.assertIn("can become an agent", line)
        self.assertIn("--cluster-ca-cert", line)

    def test_old_tls(self) -> None:
        """A listener that speaks what RFC 8996 forbids is named with its version."""
        endpoint = "mtls:8090:cert=c:key=k:ca=a:minimum={}"
        for version in ("1.2", "1.3"):
            self.assertEqual(lines(endpoint.format(version), endpoint.format(version)), [])
        frontend, agents = lines(endpoint.format("1.0"), endpoint.format("1.1"))
        self.assertIn("the connect frontend mtls:8090 speaks TLS 1.0, which RFC 8996", frontend)
        self.assertIn("the agent listener mtls:8090 speaks TLS 1.1", agents)
        self.assertIn("--tls-min-version=VersionTLS12", agents)

    def test_wrapped(self) -> None:
        """Sockets from systemd and the PROXY protocol are as open as plain TCP."""
        for endpoint in ("systemd:domain=INET6:index=0", "haproxy:tcp:8090", "tcp6:8090"):
            (line,) = lines(endpoint)
            self.assertIn("is plain TCP", line)
        self.assertEqual(lines("systemd:domain=UNIX:index=0"), [])

    def test_unix_sockets(self) -> None:
        """A unix socket that others may write to is for every user; Twisted's default mode is."""
        for endpoint in ("unix:/run/k.sock", "unix:/run/k.sock:mode=777", "unix:k:mode=0662"):
            (line,) = lines(endpoint)
            self.assertIn("is open to every user of this machine", line)
        self.assertEqual(lines("unix:/run/k.sock:mode=664"), [])

    def test_an_agents_ways(self) -> None:
        """An agent that does not verify its proxy is told so."""

        def said(proxy: str) -> list[str]:
            return agents_open_doors(AgentEndpoints((proxy,), "tcp:1", "tcp:2"))

        for proxy in ("mtls:p:8091:ca=a", "tls:p:8091", "unix:/run/p.sock", "ssl:p:1:caCertsDir=d"):
            self.assertEqual(said(proxy), [], proxy)
        self.assertIn("the way to the proxy tcp:p is plain TCP", said("tcp:p:8091")[0])
        self.assertIn("does not verify the proxy's certificate", said("ssl:p:8091")[0])


class ProfilesTests(SynchronousTestCase):
    """Profiles on the admin port."""

    def test_profiles(self) -> None:
        """Profiles for more than this machine are named; without profiles there is nothing."""
        for address in ("127.0.0.1", "localhost", "::1"):
            self.assertEqual(open_profiles(address, profiling=True), [], address)
        for address, where in (("", "every address"), ("0.0.0.0", "0.0.0.0"), ("::", "::")):
            (line,) = open_profiles(address, profiling=True)
            self.assertIn(f"the admin port at {where} serves profiles", line)
            self.assertEqual(open_profiles(address, profiling=False), [])


class GuardTests(SynchronousTestCase):
    """What becomes of the lines."""

    def test_strict(self) -> None:
        """With --strict all lines are the reason not to start."""
        guard([], strict=True)
        error = self.assertRaises(CannotListen, guard, ["one", "two"], strict=True)
        self.assertEqual(str(error), "--strict refuses what is open:\none\ntwo")

    def test_not_strict(self) -> None:
        """Without it, each line is a warning."""
        said: list[str] = []
        self.patch(
            open_doors_module,
            "log",
            SimpleNamespace(warn=lambda form, **kw: said.append(kw["line"])),
        )
        guard(["one", "two"], strict=False)
        self.assertEqual(said, ["one", "two"])
