"""Tests of konnect.app.agent_options and konnect.app.agent_flags."""

from __future__ import annotations

import contextlib
import io
import uuid

from twisted.python import usage

from konnect.app.agent_options import AgentConfig, AgentOptions
from konnect.app.describe import describe_agent
from konnect.app.sync_flags import ALL
from tests.app.options_case import OptionsCase

PREFIX = "failed to validate agent options with "


class AgentCase(OptionsCase):
    """The agent's command lines."""

    def setUp(self) -> None:
        """The one argument that is always needed."""
        super().setUp()
        self.ca = f"--ca-cert={self.file}"

    def parse(self, *words: str, **environ: str) -> AgentConfig:
        """The config for a command line."""
        options = AgentOptions(environ)
        options.parseOptions(words)
        return options.config


class AcceptedTests(AgentCase):
    """Command lines that give a config."""

    def test_certificates(self) -> None:
        """Upstream's example gives an agent that shows its certificate."""
        config = self.parse(self.ca, f"--agent-cert={self.file}", f"--agent-key={self.file}")
        self.assertEqual((config.ca_cert, config.agent_cert), (self.file, self.file))
        self.assertTrue(config.classic_proxy)

    def test_defaults(self) -> None:
        """Defaults are upstream's."""
        config = self.parse(self.ca)
        self.assertEqual(
            (config.proxy_server_hosts, config.proxy_server_port), (("127.0.0.1",), 8091)
        )
        self.assertEqual((config.health_server_port, config.admin_server_port), (8093, 8094))
        self.assertEqual(config.admin_bind_address, "127.0.0.1")
        self.assertEqual(
            (config.sync_interval, config.sync_interval_cap, config.probe_interval),
            (1.0, 10.0, 1.0),
        )
        self.assertEqual(config.keepalive_time, 3600.0)
        self.assertEqual((config.drain_timeout, config.flow.linger), (25.0, 10.0))
        self.assertIs(config.sync_forever, False)

    def test_manifest(self) -> None:
        """The flags of a production manifest, but for its token, are taken as they stand."""
        config = self.parse(
            "--logtostderr=true",
            self.ca,
            "--proxy-server-host=konnectivity-server.kube-system.svc.cluster.local",
            "--proxy-server-port=8091",
            "--sync-interval=5s",
            "--sync-interval-cap=30s",
            "--probe-interval=5s",
            "--agent-identifiers=ipv4=${HOST_IP}",
            "--sync-forever",
            "--warn-on-channel-limit",
            "--xfr-channel-size=300",
        )
        self.assertEqual((config.sync_interval, config.sync_interval_cap), (5.0, 30.0))
        self.assertEqual(config.agent_identifiers, "ipv4=${HOST_IP}")
        self.assertIs(config.sync_forever, True)

    def test_agent_id(self) -> None:
        """The id is the flag's, else the environment's, else a random UUID."""
        self.assertEqual(self.parse(self.ca, "--agent-id=me", PROXY_AGENT_ID="env").agent_id, "me")
        self.assertEqual(self.parse(self.ca, PROXY_AGENT_ID="env").agent_id, "env")
        self.assertEqual(uuid.UUID(self.parse(self.ca).agent_id).version, 4)

    def test_identifiers(self) -> None:
        """Any of the five names is accepted, with any value, escaped or not."""
        text = "host=a&host=b&ipv4=1.2.3.4&ipv6=:::::&cidr=x%2F8&default-route=maybe&&ho%73t=c"
        self.assertEqual(self.parse(self.ca, f"--agent-identifiers={text}").agent_identifiers, text)

    def test_alpn(self) -> None:
        """Protocol names come from commas and repeats, in order."""
        config = self.parse(self.ca, "--alpn-proto=a,b", "--alpn-proto=c")
        self.assertEqual(config.alpn_protos, ("a", "b", "c"))

    def test_keepalive_floor(self) -> None:
        """No proxy is pinged more often than every ten seconds, as in upstream's transport."""
        self.assertEqual(self.parse(self.ca, "--keepalive-time=1s").keepalive_time, 10.0)

    def test_endpoints_replace_upstreams(self) -> None:
        """With --agent-endpoint, upstream's flags are neither needed nor used, unless given."""
        endpoint = "--agent-endpoint=unix:/run/agents.sock"
        config = self.parse(endpoint)
        self.assertEqual(config.proxy_endpoints, ("unix:/run/agents.sock",))
        self.assertFalse(config.classic_proxy)
        self.assertTrue(self.parse(endpoint, self.ca).classic_proxy)

    def test_server_count_source(self) -> None:
        """Without leases every source means the proxies' own answers."""
        for source in ("", "default", "max"):
            self.parse(self.ca, f"--server-count-source={source}")

    def test_hosts(self) -> None:
        """Proxies are named in one list or in several; the default is gone then, twice is once."""
        hosts = ("--proxy-server-host=a,b", "--proxy-server-host", "::1", "--proxy-server-host=a")
        self.assertEqual(self.parse(self.ca, *hosts).proxy_server_hosts, ("a", "b", "::1"))

    def test_leases(self) -> None:
        """Leases are counted when that is asked for, with the settings of their flags."""
        settings = ("--lease-namespace=n", f"--kubeconfig={self.file}")
        self.assertIsNone(self.parse(self.ca, *settings).leases)
        config = self.parse(
            self.ca, *settings, "--count-server-leases", "--server-count-source=max"
        )
        assert config.leases is not None
        self.assertEqual(config.server_count_source, "max")
        self.assertEqual(config.leases.namespace, "n")
        self.assertEqual(config.leases.labels, "k8s-app=konnectivity-server")
        self.assertEqual(config.leases.access.kubeconfig, self.file)

    def test_quorum(self) -> None:
        """A quorum is one, all, or a number."""
        self.assertEqual(self.parse(self.ca).ready_quorum, 1)
        for text, quorum in (("any", 1), ("all", ALL), ("1", 1), ("3", 3)):
            self.assertEqual(self.parse(self.ca, f"--ready-quorum={text}").ready_quorum, quorum)


class HttpProxyTests(AgentCase):
    """What the environment says about the way to the proxies."""

    def test_way(self) -> None:
        """With $HTTPS_PROXY the way to hosts elsewhere goes through it, and no other does."""
        far, here = "--proxy-server-host=far", "--proxy-server-host=127.0.0.1"
        for word, environ, through in (
            (far, {}, True),
            (here, {}, False),
            (far, {"NO_PROXY": "far"}, False),
        ):
            config = self.parse(self.ca, word, HTTPS_PROXY="http://corp:3128", **environ)
            (way,) = describe_agent(config).proxies
            self.assertEqual("via=http\\://corp\\:3128" in way, through, way)

    def test_refused(self) -> None:
        """A variable that names no HTTP proxy is refused by its name."""
        error = self.assertRaises(
            usage.UsageError, self.parse, self.ca, HTTPS_PROXY="socks5://corp"
        )
        self.assertEqual(str(error), "bad $HTTPS_PROXY: no HTTP proxy: socks5 is not spoken")


class RefusedTests(AgentCase):
    """Command lines that do not, in upstream's words."""

    def test_files_and_pairs(self) -> None:
        """A missing file is named with its role; a certificate and its key come together."""
        gone = f"got stat {self.missing}: no such file or directory"
        self.refuses(
            f"{PREFIX}error checking agent key {self.missing}, {gone}",
            f"--agent-key={self.missing}",
        )
        self.refuses(
            f'{PREFIX}cannot have agent cert empty when agent key is set to "{self.file}"',
            f"--agent-key={self.file}",
        )
        self.refuses(
            f'{PREFIX}cannot have agent key empty when agent cert is set to "{self.file}"',
            f"--agent-cert={self.file}",
        )
        for flag, what in (
            ("ca-cert", "agent CA cert "),
            ("service-account-token-path", "service account token path "),
        ):
            self.refuses(
                f"{PREFIX}error checking {what}{self.missing}, {gone}", f"--{flag}={self.missing}"
            )
        self.refuses(
            f'{PREFIX}error checking KubeconfigPath "{self.missing}", {gone}',
            f"--kubeconfig={self.missing}",
        )

    def test_ports(self) -> None:
        """Ports are positive, and such that they can exist."""
        for name in ("proxy server port", "health server port", "admin server port"):
            flag = name.replace(" ", "-")
            self.refuses(f"{PREFIX}{name} 0 must be greater than 0", self.ca, f"--{flag}=0")
            self.refuses(
                f"{PREFIX}{name} 65536 must be less than 65536", self.ca, f"--{flag}=65536"
            )

    def test_intervals(self) -> None:
        """The first wait is not above the longest; equal is fine; none would make a busy loop."""
        self.refuses(
            PREFIX + "sync interval 1h30m0s must be less than sync interval cap 1ms",
            self.ca,
            "--sync-interval=90m",
            "--sync-interval-cap=1ms",
        )
        self.parse(self.ca, "--sync-interval=10s")
        self.refuses(PREFIX + "sync-interval must be > 0, got 0s", self.ca, "--sync-interval=0")
        self.refuses(PREFIX + "probe-interval must be > 0, got 0s", self.ca, "--probe-interval=0")
        self.refuses(PREFIX + "drain-timeout must be >= 0, got -1s", self.ca, "--drain-timeout=-1s")

    def test_identifiers(self) -> None:
        """Identifiers are a URL query with known names."""
        problem = PREFIX + "agent address is invalid: "
        for text, why in (
            ("uid=3", "unknown address type: uid"),
            ("ipv4=1.2.3.4&IPv4=x", "unknown address type: IPv4"),
            ("=x", "unknown address type: "),
            ("a;b", "invalid semicolon separator in query"),
            ("ipv4=%zz", 'invalid URL escape "%zz"'),
            ("ipv4=%2", 'invalid URL escape "%2"'),
        ):
            self.refuses(problem + why, self.ca, f"--agent-identifiers={text}")

    def test_numbers_and_words(self) -> None:
        """Sizes are positive, and a source of counts has a known name."""
        self.refuses(
            PREFIX + "channel size 0 must be greater than 0", self.ca, "--xfr-channel-size=0"
        )
        self.refuses(
            PREFIX + "--server-count-source must be one of '', 'default', 'max', got x",
            self.ca,
            "--server-count-source=x",
        )
        self.refuses(
            PREFIX + "if --enable-contention-profiling is set, --enable-profiling must also be set",
            self.ca,
            "--enable-contention-profiling",
        )

    def test_no_authority(self) -> None:
        """Without an authority no proxy could be verified: that is said at once."""
        self.refuses(
            "failed to run proxy connection: nothing to verify the proxy's certificate with:"
            " set --ca-cert, or give --agent-endpoint"
        )

    def test_quorum_and_hosts(self) -> None:
        """A quorum that is none is refused, and so is a proxy without a name."""
        for text in ("", "0", "-1", "most", "1.5", "9999999999"):
            self.refuses(
                PREFIX + f"ready-quorum must be any, all or a number above 0, got {text}",
                self.ca,
                f"--ready-quorum={text}",
            )
        for text in ("", "a,,b"):
            self.refuses(
                PREFIX + "proxy server host is empty: give a name or an address",
                self.ca,
                f"--proxy-server-host={text}",
            )

    def test_deprecated_label(self) -> None:
        """The old name of the lease selector is another name for it, and says so."""
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            config = self.parse(self.ca, "--count-server-leases", "--lease-label=a=b")
        assert config.leases is not None
        self.assertEqual(config.leases.labels, "a=b")
        self.assertEqual(
            stderr.getvalue(),
            "Flag --lease-label has been deprecated, Use --lease-label-selector instead\n",
        )
