"""Tests of konnect.app.describe."""

from __future__ import annotations

import socket
from dataclasses import replace

from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from konnect.app.agent_options import AgentConfig
from konnect.app.checks import every_interface
from konnect.app.describe import (
    address_text,
    authority_of,
    describe_agent,
    describe_proxy,
    unix_path,
)
from konnect.app.proxy_options import ProxyConfig

PROXY = ProxyConfig(
    server_cert="s.crt",
    server_key="s.key",
    server_ca_cert="clients.crt",
    cluster_cert="c.crt",
    cluster_key="c.key",
)
AGENT = AgentConfig(ca_cert="ca.crt")


class ProxyTests(SynchronousTestCase):
    """What the proxy's config means as endpoint strings."""

    def test_frontends(self) -> None:
        """Upstream's flags give one frontend, in front of those that were given as strings."""
        uds = replace(PROXY, uds_name="/run/k.sock", server_port=0)
        given = (
            ("connect", "tcp:1080:interface=127.0.0.1"),
            ("grpc", "systemd:domain=INET:index=0"),
        )
        tls = "cert=s.crt:key=s.key:ca=clients.crt"
        for config, frontends in (
            (PROXY, (("grpc", f"mtls:8090:{tls}:interface=0.0.0.0:alpn=h2"),)),
            (
                replace(PROXY, mode="http-connect", server_port=9000),
                (("connect", f"mtls:9000:{tls}:interface=0.0.0.0:alpn=http/1.1"),),
            ),
            (
                replace(PROXY, server_bind_address="10.0.0.1"),
                (("grpc", f"mtls:8090:{tls}:interface=10.0.0.1:alpn=h2"),),
            ),
            (
                replace(PROXY, server_bind_address="::1", tls_minimum="1.3"),
                (("grpc", f"mtls:8090:{tls}:interface=\\:\\:1:alpn=h2:minimum=1.3"),),
            ),
            (
                replace(PROXY, cipher_suites=("A", "B")),
                (("grpc", f"mtls:8090:{tls}:interface=0.0.0.0:alpn=h2:ciphers=A,B"),),
            ),
            (uds, (("grpc", "unix:/run/k.sock:mode=770:lockfile=0:backlog=1024"),)),
            (
                replace(uds, mode="http-connect"),
                (("connect", "unix:/run/k.sock:mode=770:lockfile=0:backlog=1024"),),
            ),
            (replace(PROXY, frontends=given, classic_frontend=False), given),
            (
                replace(uds, frontends=given),
                (("grpc", "unix:/run/k.sock:mode=770:lockfile=0:backlog=1024"), *given),
            ),
        ):
            self.assertEqual(describe_proxy(config).frontends, frontends)

    def test_agents(self) -> None:
        """Agents are asked for certificates only when there is an authority for them."""
        tls = "cert=c.crt:key=c.key"
        given = ("unix:/run/agents.sock",)
        for config, agents in (
            (PROXY, (f"mtls:8091:{tls}:interface=0.0.0.0:alpn=h2",)),
            (
                replace(PROXY, cluster_ca_cert="a.crt"),
                (f"mtls:8091:{tls}:ca=a.crt:interface=0.0.0.0:alpn=h2",),
            ),
            (
                replace(PROXY, agent_port=9001, agent_bind_address="10.0.0.1"),
                (f"mtls:9001:{tls}:interface=10.0.0.1:alpn=h2",),
            ),
            (
                replace(PROXY, agent_endpoints=given),
                (f"mtls:8091:{tls}:interface=0.0.0.0:alpn=h2", *given),
            ),
            (replace(PROXY, agent_endpoints=given, classic_agents=False), given),
        ):
            self.assertEqual(describe_proxy(config).agents, agents)

    def test_operators(self) -> None:
        """Health is for every address and admin for this machine, unless told otherwise."""
        for config, health, admin in (
            (PROXY, "tcp:8092:interface=0.0.0.0", "tcp:8095:interface=127.0.0.1"),
            (
                replace(PROXY, any_interface="::", admin_bind_address=""),
                "tcp:8092:interface=\\:\\:",
                "tcp:8095:interface=\\:\\:",
            ),
            (
                replace(PROXY, health_port=1, health_bind_address="127.0.0.1", admin_port=2),
                "tcp:1:interface=127.0.0.1",
                "tcp:2:interface=127.0.0.1",
            ),
        ):
            endpoints = describe_proxy(config)
            self.assertEqual((endpoints.health, endpoints.admin), (health, admin))

    def test_operators_strings_listen(self) -> None:
        """Twisted listens on these strings as meant, all addresses included."""
        reactor = MemoryReactorClock()
        config = replace(PROXY, any_interface="::")
        for endpoint in (describe_proxy(config).health, describe_proxy(config).admin):
            self.successResultOf(serverFromString(reactor, endpoint).listen(object()))
        ports = [(port, interface) for port, _, _, interface in reactor.tcpServers]
        self.assertEqual(ports, [(8092, "::"), (8095, "127.0.0.1")])

    def test_paths_are_quoted(self) -> None:
        """A path means itself, whatever characters are in it."""
        path = "/run/a:b=c\\d e.sock"
        ((_, endpoint),) = describe_proxy(replace(PROXY, uds_name=path, server_port=0)).frontends
        reactor = MemoryReactorClock()
        self.successResultOf(serverFromString(reactor, endpoint).listen(object()))
        ((address, _, _, mode, lock),) = reactor.unixServers
        self.assertEqual((address, mode, lock), (path, 0o770, False))
        self.assertEqual(unix_path(endpoint), path)


class AgentTests(SynchronousTestCase):
    """What the agent's config means as endpoint strings."""

    def test_proxies(self) -> None:
        """Upstream's flags give one way to the proxies, in front of those given as strings."""
        given = ("unix:/run/agents.sock", "mtls:other:1:ca=x:alpn=h2")
        for config, proxies in (
            (AGENT, ("mtls:127.0.0.1:8091:ca=ca.crt:alpn=h2",)),
            (
                replace(
                    AGENT,
                    proxy_server_hosts=("proxy.example",),
                    proxy_server_port=443,
                    agent_cert="a.crt",
                    agent_key="a.key",
                    alpn_protos=("konnectivity",),
                ),
                ("mtls:proxy.example:443:ca=ca.crt:cert=a.crt:key=a.key:alpn=konnectivity,h2",),
            ),
            (
                replace(AGENT, proxy_server_hosts=("fe80::1",), alpn_protos=("h2", "x")),
                ("mtls:fe80\\:\\:1:8091:ca=ca.crt:alpn=h2,x",),
            ),
            (
                replace(AGENT, proxy_server_hosts=("a", "b")),
                ("mtls:a:8091:ca=ca.crt:alpn=h2", "mtls:b:8091:ca=ca.crt:alpn=h2"),
            ),
            (
                replace(AGENT, proxy_endpoints=given),
                ("mtls:127.0.0.1:8091:ca=ca.crt:alpn=h2", *given),
            ),
            (replace(AGENT, proxy_endpoints=given, classic_proxy=False), given),
        ):
            self.assertEqual(describe_agent(config).proxies, proxies)

    def test_operators(self) -> None:
        """Health is for every address and admin for this machine, unless told otherwise."""
        endpoints = describe_agent(AGENT)
        self.assertEqual(endpoints.health, "tcp:8093:interface=0.0.0.0")
        self.assertEqual(endpoints.admin, "tcp:8094:interface=127.0.0.1")
        endpoints = describe_agent(
            replace(
                AGENT, health_server_host="127.0.0.1", admin_bind_address="", any_interface="::"
            )
        )
        self.assertEqual(endpoints.health, "tcp:8093:interface=127.0.0.1")
        self.assertEqual(endpoints.admin, "tcp:8094:interface=\\:\\:")

    def test_words(self) -> None:
        """Where a proxy is, for people, and the `:authority` of what is asked of it there."""
        for endpoint, text, authority in (
            ("mtls:proxy.example:8091:ca=x", "proxy.example:8091", "proxy.example"),
            ("mtls:10.0.0.1:8091:ca=x", "10.0.0.1:8091", "10.0.0.1"),
            ("mtls:fd00\\:\\:1:8091:ca=x", "[fd00::1]:8091", "[fd00::1]"),
            ("mtls:fe80\\:\\:1%eth0:8091:ca=x", "[fe80::1%eth0]:8091", "[fe80::1]"),
            ("unix:/run/a\\:b/agents.sock", "/run/a:b/agents.sock", "localhost"),
            ("tcp:host=proxy:port=8091", "tcp", "localhost"),
        ):
            self.assertEqual(address_text(endpoint), text)
            self.assertEqual(authority_of(endpoint), authority)


class AlpnTests(SynchronousTestCase):
    """Endpoint strings of the command line where gRPC is spoken."""

    def test_h2_is_offered(self) -> None:
        """An mtls: string without alpn= gets h2; one that has it, and others, stay as they are."""
        files = "cert=x.crt:key=x.key:ca=alpn.crt"
        for given, meant in (
            (f"mtls:1:{files}", f"mtls:1:{files}:alpn=h2"),
            (f"mtls:1:alpn=x,h2:{files}", f"mtls:1:alpn=x,h2:{files}"),
            ("tcp:1", "tcp:1"),
            ("unix:/mtls", "unix:/mtls"),
        ):
            proxy = describe_proxy(
                replace(PROXY, frontends=(("grpc", given),), agent_endpoints=(given,))
            )
            self.assertIn(("grpc", meant), proxy.frontends)
            self.assertIn(meant, proxy.agents)
            agent = describe_agent(replace(AGENT, proxy_endpoints=(given,)))
            self.assertIn(meant, agent.proxies)

    def test_connect(self) -> None:
        """HTTP/1.1 needs no ALPN: what a CONNECT frontend offers is left to the string."""
        given = ("connect", "mtls:1:cert=x.crt:key=x.key")
        self.assertIn(given, describe_proxy(replace(PROXY, frontends=(given,))).frontends)


class UnixPathTests(SynchronousTestCase):
    """Which socket file an endpoint string is about."""

    def test_unix_path(self) -> None:
        """Only `unix:` strings have one, given by place or by name."""
        for endpoint, path in (
            ("unix:/run/k.sock", "/run/k.sock"),
            ("unix:/run/k.sock:mode=770:lockfile=0", "/run/k.sock"),
            ("unix:address=/run/k.sock:mode=770", "/run/k.sock"),
            ("unix:mode=770:/run/k.sock", "/run/k.sock"),
            ("unix:/run/a\\:b\\=c", "/run/a:b=c"),
            ("unix:/run/end\\", "/run/end"),
            ("unix", None),
            ("unix:", None),
            ("tcp:80", None),
            ("haproxy:unix:/run/k.sock", None),
        ):
            self.assertEqual(unix_path(endpoint), path, endpoint)


class EveryInterfaceTests(SynchronousTestCase):
    """The interface that stands for all of them."""

    def test_no_ipv6(self) -> None:
        """Where the kernel has no IPv6 it is IPv4's."""

        def refuse(*_: object) -> None:
            raise OSError("Address family not supported by protocol")

        self.patch(socket, "socket", refuse)
        self.assertEqual(every_interface(), "0.0.0.0")
