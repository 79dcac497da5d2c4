"""Every flag of upstream's programs is here, with its type and default."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.app.agent_options import AgentOptions
from konnect.app.flags import FlagOptions
from konnect.app.proxy_options import ProxyOptions
from tests.app.flags_tool import load

# Name, type and default as `--help` shows them; "-" for a default that it does not show.
# Konnect differs twice: a dial takes 30s at most, and an agent takes several hosts of proxies.
PROXY = """
admin-bind-address string "127.0.0.1"
admin-port int 8095
agent-bind-address string -
agent-namespace string -
agent-port int 8091
agent-service-account string -
authentication-audience string -
backend-dial-timeout duration 30s
cipher-suites strings -
cluster-ca-cert string -
cluster-cert string -
cluster-key string -
delete-existing-uds-file bool true
enable-contention-profiling bool -
enable-lease-controller bool -
enable-profiling bool -
frontend-keepalive-time duration 1h0m0s
graceful-shutdown-timeout duration -
health-bind-address string -
health-port int 8092
keepalive-time duration 1h0m0s
kube-api-content-type string "application/vnd.kubernetes.protobuf"
kubeconfig string -
kubeconfig-burst int -
kubeconfig-qps float32 -
lease-label string "k8s-app=konnectivity-server"
lease-namespace string "kube-system"
mode string "grpc"
proxy-strategies string "default"
server-bind-address string -
server-ca-cert string -
server-cert string -
server-count int 1
server-key string -
server-port int 8090
tls-min-version string -
uds-name string -
xfr-channel-size int 10
server-id string -
"""

AGENT = """
admin-bind-address string "127.0.0.1"
admin-server-port int 8094
agent-cert string -
agent-identifiers string -
agent-key string -
alpn-proto strings -
ca-cert string -
count-server-leases bool -
enable-contention-profiling bool -
enable-profiling bool -
health-server-host string -
health-server-port int 8093
keepalive-time duration 1h0m0s
kube-api-content-type string "application/vnd.kubernetes.protobuf"
kubeconfig string -
lease-label-selector string "k8s-app=konnectivity-server"
lease-namespace string "kube-system"
probe-interval duration 1s
proxy-server-host strings [127.0.0.1]
proxy-server-port int 8091
server-count-source string "default"
service-account-token-path string -
sync-forever bool -
sync-interval duration 1s
sync-interval-cap duration 10s
warn-on-channel-limit bool -
xfr-channel-size int 150
agent-id string -
"""

KLOG = """
add-dir-header bool -
alsologtostderr bool -
alsologtostderrthreshold severity -
legacy-stderr-threshold-behavior bool true
log-dir string -
log-file string -
log-file-max-size uint 1800
logtostderr bool true
one-output bool -
skip-headers bool -
skip-log-headers bool -
stderrthreshold severity 2
v Level 4
vmodule moduleSpec -
log-backtrace-at traceLocation -
"""

HIDDEN = {
    "proxy": {
        "warn-on-channel-limit": "This behavior is now thread safe and always on. This flag will be"
        " removed in a future release."
    },
    "agent": {"lease-label": "Use --lease-label-selector instead"},
}
"""Deprecated flags, which upstream's help does not show, and what using them prints."""

ENVIRONMENT = {"server-id": "PROXY_SERVER_ID", "agent-id": "PROXY_AGENT_ID"}


def names(table: str) -> set[str]:
    """The flags of a table."""
    return {row.split()[0] for row in table.strip().splitlines()}


class UpstreamFlagsTests(SynchronousTestCase):
    """The tables above against the programs' own."""

    def check(self, options: type[FlagOptions], table: str, hidden: dict[str, str]) -> None:
        """Each row is a flag of the program, as upstream's help shows it."""
        flags = {flag.name: flag for flag in options.flags}
        for row in (table + KLOG).strip().splitlines():
            if not row:
                continue
            name, word, default = row.split()
            flag = flags.get(name)
            assert flag is not None, f"--{name} is missing"
            self.assertEqual(flag.kind.word or "bool", word, name)
            shown = "" if flag.make_default else flag.kind.show(flag.default)
            self.assertEqual(shown or "-", default, name)
            self.assertEqual(flag.short, "v" if name == "v" else "", name)
            self.assertFalse(flag.hidden or flag.deprecated, name)
            if name in ENVIRONMENT:
                self.assertEqual(flag.env, ENVIRONMENT[name])
        for name, instead in hidden.items():
            self.assertEqual(flags[name].deprecated, instead)

    def test_proxy(self) -> None:
        """The proxy has every flag of upstream's server."""
        self.check(ProxyOptions, PROXY, HIDDEN["proxy"])

    def test_agent(self) -> None:
        """The agent has every flag of upstream's agent."""
        self.check(AgentOptions, AGENT, HIDDEN["agent"])

    def test_stars(self) -> None:
        """docs/flags.md has a star at those that upstream does not have, and only there."""
        upstream = names(PROXY) | names(AGENT) | names(KLOG)
        upstream |= {name for hidden in HIDDEN.values() for name in hidden}
        self.assertEqual(load().UPSTREAM, upstream)
