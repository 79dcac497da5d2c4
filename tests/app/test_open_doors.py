"""Tests of konnect.app.open_doors."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.app.describe import ProxyEndpoints
from konnect.app.open_doors import open_doors


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
