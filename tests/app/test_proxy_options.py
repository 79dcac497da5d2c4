"""Tests of konnect.app.proxy_options and konnect.app.proxy_flags."""

from __future__ import annotations

import contextlib
import io
import uuid

from konnect.app.klog import LogConfig
from konnect.app.kubernetes_flags import Tokens
from konnect.app.proxy_options import ProxyConfig, ProxyOptions
from konnect.extension.api import ApiAccess
from konnect.wire.token_review import ServiceAccount
from tests.app.options_case import OptionsCase

PREFIX = "failed to validate server options with "


class ProxyCase(OptionsCase):
    """The proxy's command lines."""

    def setUp(self) -> None:
        """Two lists of arguments that are accepted."""
        super().setUp()
        self.agents = [f"--cluster-cert={self.file}", f"--cluster-key={self.file}"]
        self.tcp = [
            f"--server-ca-cert={self.file}",
            f"--server-cert={self.file}",
            f"--server-key={self.file}",
            *self.agents,
        ]
        self.uds = ["--uds-name=/run/konnect.sock", "--server-port=0", *self.agents]

    def parse(self, *words: str, **environ: str) -> ProxyConfig:
        """The config for a command line."""
        options = ProxyOptions(environ)
        options.parseOptions(words)
        return options.config


class AcceptedTests(ProxyCase):
    """Command lines that give a config."""

    def test_grpc_over_mtls(self) -> None:
        """Upstream's first example gives a gRPC frontend and agents with certificates."""
        config = self.parse(*self.tcp, f"--cluster-ca-cert={self.file}")
        self.assertEqual((config.mode, config.server_port, config.agent_port), ("grpc", 8090, 8091))
        self.assertTrue(config.classic_frontend and config.classic_agents)
        self.assertEqual(config.cluster_ca_cert, self.file)

    def test_grpc_over_a_unix_socket(self) -> None:
        """Upstream's second example needs no certificates for clients."""
        config = self.parse(*self.uds)
        self.assertEqual((config.uds_name, config.server_port), ("/run/konnect.sock", 0))

    def test_http_connect(self) -> None:
        """Upstream's third example differs by its mode."""
        self.assertEqual(self.parse(*self.tcp, "--mode=http-connect").mode, "http-connect")

    def test_defaults(self) -> None:
        """Defaults are upstream's, but for the bound of a dial."""
        config = self.parse(*self.tcp)
        self.assertEqual(
            (config.health_port, config.admin_port, config.admin_bind_address),
            (8092, 8095, "127.0.0.1"),
        )
        self.assertEqual((config.keepalive_time, config.frontend_keepalive_time), (3600.0, 3600.0))
        self.assertEqual(config.graceful_shutdown_timeout, 0.0)
        self.assertEqual(config.backend_dial_timeout, 30.0)
        self.assertEqual(config.flow.linger, 10.0)
        self.assertIs(config.delete_existing_uds_file, True)
        self.assertEqual((config.server_count, config.log), (1, LogConfig()))

    def test_manifest(self) -> None:
        """The flags of a production manifest, klog's included, are taken as they stand."""
        config = self.parse(
            "--log-file=/var/log/konnectivity-server.log",
            "--logtostderr=true",
            "--log-file-max-size=0",
            "--uds-name=/etc/kubernetes/konnectivity-server/konnectivity-server.socket",
            "--delete-existing-uds-file",
            f"--cluster-cert={self.file}",
            f"--cluster-key={self.file}",
            "--server-port=0",
            "--agent-port=8091",
            "--health-port=8092",
            "--admin-port=8093",
            "--keepalive-time=1h",
            "--mode=grpc",
            "--proxy-strategies=default",
            "--kube-api-content-type=application/vnd.kubernetes.protobuf",
            "-v=2",
        )
        self.assertEqual((config.admin_port, config.log.level), (8093, "info"))

    def test_server_id(self) -> None:
        """The id is the flag's, else the environment's, else a random UUID."""
        self.assertEqual(
            self.parse(*self.tcp, "--server-id=me", PROXY_SERVER_ID="env").server_id, "me"
        )
        self.assertEqual(self.parse(*self.tcp, PROXY_SERVER_ID="env").server_id, "env")
        self.assertEqual(uuid.UUID(self.parse(*self.tcp).server_id).version, 4)

    def test_keepalive(self) -> None:
        """A keepalive time is never so short that it floods the peer; 0 is none at all."""
        for text, seconds in (("30s", 30.0), ("1ms", 1.0), ("0", 0.0)):
            config = self.parse(
                *self.tcp, f"--keepalive-time={text}", f"--frontend-keepalive-time={text}"
            )
            self.assertEqual(
                (config.keepalive_time, config.frontend_keepalive_time), (seconds, seconds)
            )

    def test_server_count(self) -> None:
        """The count is told to agents as it is, even where it makes no sense."""
        self.assertEqual(self.parse(*self.tcp, "--server-count=-3").server_count, -3)

    def test_frontends_replace_upstreams(self) -> None:
        """With --frontend, upstream's frontend is neither needed nor made."""
        config = self.parse(
            "--frontend=grpc=unix:/run/k.sock",
            "--frontend",
            "connect=mtls:8090:cert=a:key=b:ca=c:alpn=http/1.1",
            *self.agents,
        )
        self.assertEqual(
            config.frontends,
            (
                ("grpc", "unix:/run/k.sock"),
                ("connect", "mtls:8090:cert=a:key=b:ca=c:alpn=http/1.1"),
            ),
        )
        self.assertFalse(config.classic_frontend)

    def test_frontends_join_upstreams(self) -> None:
        """With --frontend and upstream's flags, both are made; a port of 0 asks for nothing."""
        frontend = "--frontend=connect=unix:/run/c.sock"
        self.assertTrue(self.parse(frontend, *self.uds).classic_frontend)
        self.assertTrue(self.parse(frontend, *self.tcp).classic_frontend)
        config = self.parse(frontend, "--server-port=0", *self.agents)
        self.assertFalse(config.classic_frontend)

    def test_agent_endpoints(self) -> None:
        """--agent-endpoint replaces upstream's listener for agents, or joins it."""
        endpoint = "--agent-endpoint=mtls:8191:cert=a:key=b"
        config = self.parse("--frontend=grpc=unix:/k", endpoint)
        self.assertEqual(config.agent_endpoints, ("mtls:8191:cert=a:key=b",))
        self.assertFalse(config.classic_agents)
        self.assertTrue(self.parse(endpoint, *self.uds).classic_agents)

    def test_tls_minimum(self) -> None:
        """Each of Go's names is a version of ours; without the flag it is the endpoint's floor."""
        self.assertEqual(self.parse(*self.tcp).tls_minimum, "")
        self.assertEqual(self.parse(*self.tcp, "--tls-min-version=VersionTLS10").tls_minimum, "1.0")
        self.assertEqual(self.parse(*self.tcp, "--tls-min-version=VersionTLS13").tls_minimum, "1.3")

    def test_cipher_suites(self) -> None:
        """Go's names are taken as they are, comma separated."""
        self.assertEqual(self.parse(*self.tcp).cipher_suites, ())
        names = "TLS_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
        config = self.parse(*self.tcp, f"--cipher-suites={names}")
        self.assertEqual(config.cipher_suites, tuple(names.split(",")))

    def test_deprecated_flag(self) -> None:
        """The flag that upstream deprecated is accepted with upstream's line."""
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            self.parse(*self.tcp, "--warn-on-channel-limit=false")
        self.assertEqual(
            stderr.getvalue(),
            "Flag --warn-on-channel-limit has been deprecated, This behavior is now thread safe"
            " and always on. This flag will be removed in a future release.\n",
        )


class RefusedTests(ProxyCase):
    """Command lines that do not, in upstream's words."""

    def test_files_and_pairs(self) -> None:
        """A missing file is named with its role; a certificate and its key come together."""
        gone = f"got stat {self.missing}: no such file or directory"
        for what in ("server", "cluster"):
            self.refuses(
                f"{PREFIX}error checking {what} key {self.missing}, {gone}",
                f"--{what}-key={self.missing}",
            )
            self.refuses(
                f"{PREFIX}error checking {what} cert {self.missing}, {gone}",
                f"--{what}-cert={self.missing}",
            )
            self.refuses(
                f'{PREFIX}cannot have {what} cert empty when {what} key is set to "{self.file}"',
                f"--{what}-key={self.file}",
            )
            self.refuses(
                f'{PREFIX}cannot have {what} key empty when {what} cert is set to "{self.file}"',
                f"--{what}-cert={self.file}",
            )
        for flag, what in (
            ("server-ca-cert", "server CA cert"),
            ("cluster-ca-cert", "cluster CA cert"),
        ):
            self.refuses(
                f"{PREFIX}error checking {what} {self.missing}, {gone}", f"--{flag}={self.missing}"
            )
        self.refuses(
            f'{PREFIX}checking KubeconfigPath "{self.missing}", {gone}',
            *self.tcp,
            f"--kubeconfig={self.missing}",
        )

    def test_frontend(self) -> None:
        """TCP wants an authority for clients; a unix socket wants nothing of TCP."""
        self.refuses(
            PREFIX + "mode must be set to either 'grpc' or 'http-connect' not \"x\"", "--mode=x"
        )
        self.refuses(
            PREFIX + "server ca cert must be set when in TCP mode (uds-name is empty)", *self.agents
        )
        self.refuses(
            PREFIX + "server port should be set to 0 not 8090 for UDS",
            "--uds-name=/k",
            *self.agents,
        )
        self.refuses(PREFIX + "server key should not be set for UDS", *self.uds, *self.tcp)
        self.refuses(
            PREFIX + "server ca cert should not be set for UDS",
            *self.uds,
            f"--server-ca-cert={self.file}",
        )

    def test_ports(self) -> None:
        """Ports are neither ephemeral nor reserved; upper bounds are checked first."""
        for name in ("server", "agent", "admin", "health"):
            self.refuses(
                f"{PREFIX}please do not try to use ephemeral port 49152 for the {name} port",
                *self.tcp,
                f"--{name}-port=49152",
            )
            self.refuses(
                f"{PREFIX}please do not try to use reserved port 1023 for the {name} port",
                *self.tcp,
                f"--{name}-port=1023",
            )
        self.refuses(
            PREFIX + "please do not try to use ephemeral port 50000 for the health port",
            *self.tcp,
            "--server-port=80",
            "--health-port=50000",
        )

    def test_token_authentication(self) -> None:
        """Token authentication is complete or refused, and goes together with certificates."""
        token = ["--agent-namespace=a", "--agent-service-account=b", "--authentication-audience=c"]
        config = self.parse(
            *self.tcp,
            *token,
            f"--cluster-ca-cert={self.file}",
            f"--kubeconfig={self.file}",
            "--kubeconfig-qps=2.5",
            "--kubeconfig-burst=7",
            "--token-reviews-at-once=3",
            "--token-cache-ttl=1m",
        )
        self.assertEqual(config.cluster_ca_cert, self.file)
        self.assertEqual(
            config.tokens,
            Tokens(
                ServiceAccount("a", "b", "c"),
                at_once=3,
                remember=60.0,
                access=ApiAccess(
                    kubeconfig=self.file,
                    qps=2.5,
                    burst=7,
                ),
            ),
        )
        self.assertIsNone(self.parse(*self.tcp).tokens)
        for number in (0, 101):
            self.refuses(
                f"{PREFIX}token-reviews-at-once must be from 1 to 100, got {number}",
                *self.tcp,
                f"--token-reviews-at-once={number}",
            )
        self.refuses(
            PREFIX + "token-cache-ttl must be >= 0, got -1s", *self.tcp, "--token-cache-ttl=-1s"
        )
        for given, missing in (
            ("agent-service-account", "agent-namespace"),
            ("agent-namespace", "agent-service-account"),
        ):
            self.refuses(
                f"{PREFIX}--{missing} cannot be empty when agent authentication is enabled",
                *self.tcp,
                f"--{given}=x",
            )

    def test_leases(self) -> None:
        """A lease is published where that is asked for, with labels that are some."""
        self.assertIsNone(self.parse(*self.tcp, "--lease-label=").leases)
        leases = self.parse(
            *self.tcp,
            "--enable-lease-controller",
            "--lease-namespace=n",
            "--lease-label=a=b,c=d",
            f"--kubeconfig={self.file}",
        ).leases
        assert leases is not None
        self.assertEqual((leases.namespace, leases.labels), ("n", "a=b,c=d"))
        self.assertEqual(leases.access.kubeconfig, self.file)
        for text, problem in (("", "empty string provided"), ("a", "invalid label format: a")):
            self.refuses(
                PREFIX + problem, *self.tcp, "--enable-lease-controller", f"--lease-label={text}"
            )

    def test_strategies(self) -> None:
        """A list of strategies has known names, and at least one."""
        problem = PREFIX + "invalid proxy strategies: "
        self.refuses(PREFIX + "ProxyStrategies cannot be empty", *self.tcp, "--proxy-strategies=")
        self.refuses(
            problem + "unknown proxy strategy:  default",
            *self.tcp,
            "--proxy-strategies=destHost, default",
        )
        self.refuses(
            problem + "proxy strategies cannot be empty", *self.tcp, "--proxy-strategies=,"
        )

    def test_tls(self) -> None:
        """TLS versions and cipher suites have Go's names."""
        self.refuses(
            PREFIX + 'unsupported TLS version "1.2", supported values are: VersionTLS10,'
            " VersionTLS11, VersionTLS12, VersionTLS13",
            *self.tcp,
            "--tls-min-version=1.2",
        )
        self.refuses(
            PREFIX + "cipher suite X not supported, doesn't exist or considered as insecure",
            *self.tcp,
            "--cipher-suites=TLS_AES_128_GCM_SHA256,X",
        )

    def test_numbers(self) -> None:
        """Sizes are positive, durations are not negative."""
        self.refuses(
            PREFIX + "channel size 0 must be greater than 0", *self.tcp, "--xfr-channel-size=0"
        )
        for name in ("graceful-shutdown-timeout", "backend-dial-timeout"):
            self.refuses(f"{PREFIX}{name} must be >= 0, got -1s", *self.tcp, f"--{name}=-1s")
        text = f"{PREFIX}dial-answer-timeout must be > 0, got 0s"
        self.refuses(text, *self.tcp, "--dial-answer-timeout=0")

    def test_profiling(self) -> None:
        """The contention profile wants profiling."""
        self.refuses(
            PREFIX + "if --enable-contention-profiling is set, --enable-profiling must also be set",
            *self.tcp,
            "--enable-contention-profiling",
        )

    def test_order(self) -> None:
        """Of several mistakes the one is shown that upstream shows."""
        self.refuses(
            PREFIX + "channel size 0 must be greater than 0",
            *self.tcp,
            "--graceful-shutdown-timeout=-1s",
            "--tls-min-version=x",
            "--xfr-channel-size=0",
        )

    def test_missing_certificates(self) -> None:
        """A listener with TLS has a certificate, or says which flags give it one."""
        self.refuses(
            "failed to run the frontend server: it has no certificate:"
            " set --server-cert and --server-key",
            f"--server-ca-cert={self.file}",
            *self.agents,
        )
        self.refuses(
            "failed to run the agent server: it has no certificate:"
            " set --cluster-cert and --cluster-key, or give --agent-endpoint",
            "--uds-name=/k",
            "--server-port=0",
        )

    def test_frontend_syntax(self) -> None:
        """--frontend has a known kind and an endpoint."""
        for text, problem in (
            ("unix:/k", "expect KIND=ENDPOINT, as in grpc=unix:/run/konnect.sock"),
            ("grpc=", "expect KIND=ENDPOINT, as in grpc=unix:/run/konnect.sock"),
            ("socks5=tcp:1", "no such kind of frontend: socks5 (there are grpc, connect)"),
        ):
            self.refuses(
                f'invalid argument "{text}" for "--frontend" flag: {problem}', f"--frontend={text}"
            )
