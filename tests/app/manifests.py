"""
Argument lists that run upstream's programs in production, as their manifests have them.

They have to start konnect's unchanged. Values that a manifest fills in are examples; paths are the
manifests' own, and whoever uses a list puts files that exist in their place (`with_files`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_FRONTEND_TLS = (
    "--server-ca-cert=certs/frontend/issued/ca.crt",
    "--server-cert=certs/frontend/issued/proxy-frontend.crt",
    "--server-key=certs/frontend/private/proxy-frontend.key",
)
_AGENT_TLS = (
    "--cluster-ca-cert=certs/agent/issued/ca.crt",
    "--cluster-cert=certs/agent/issued/proxy-frontend.crt",
    "--cluster-key=certs/agent/private/proxy-frontend.key",
)
_KIND_TOKENS = (
    "--agent-namespace=kube-system",
    "--agent-service-account=konnectivity-agent",
    "--kubeconfig=/etc/kubernetes/admin.conf",
    "--authentication-audience=system:konnectivity-server",
)
_SOCKET = "--uds-name=/etc/kubernetes/konnectivity-server/konnectivity-server.socket"
_TOKEN = "--service-account-token-path=/var/run/secrets/tokens/konnectivity-agent-token"
_POD_CA = "--ca-cert=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
_APISERVER_CERT = (
    "--cluster-cert=/etc/kubernetes/pki/apiserver.crt",
    "--cluster-key=/etc/kubernetes/pki/apiserver.key",
)

_LOG_FILE = (
    "--log-file=/var/log/konnectivity-server.log",
    "--logtostderr=true",
    "--log-file-max-size=0",
)
_E2E_PROXY = (
    *_LOG_FILE,
    _SOCKET,
    "--delete-existing-uds-file",
    *_APISERVER_CERT,
    "--server-port=0",
    "--kubeconfig=/etc/kubernetes/admin.conf",
    "--keepalive-time=1h",
    "--mode=grpc",
    "--agent-namespace=kube-system",
    "--agent-service-account=konnectivity-agent",
    "--authentication-audience=system:konnectivity-server",
)
_E2E_AGENT = (
    "--logtostderr=true",
    _POD_CA,
    "--proxy-server-host=konnectivity-server.kube-system.svc.cluster.local",
    "--proxy-server-port=8091",
    "--sync-interval=1s",
    "--sync-interval-cap=10s",
    "--sync-forever",
    "--probe-interval=1s",
    _TOKEN,
)

PROXIES: Mapping[str, Sequence[str]] = {
    "README, gRPC over mTLS": (*_FRONTEND_TLS, *_AGENT_TLS),
    "README, gRPC over a unix socket": (
        "--server-port=0",
        "--uds-name=/tmp/uds-proxy",
        *_AGENT_TLS,
    ),
    "README, HTTP CONNECT over mTLS": ("--mode=http-connect", *_FRONTEND_TLS, *_AGENT_TLS),
    "examples/kind": (
        *_LOG_FILE,
        _SOCKET,
        "--delete-existing-uds-file",
        *_APISERVER_CERT,
        "--server-port=0",
        "--agent-port=8091",
        "--health-port=8092",
        "--admin-port=8093",
        "--keepalive-time=1h",
        "--mode=grpc",
        *_KIND_TOKENS,
    ),
    "examples/kind-multinode": (
        *_LOG_FILE,
        _SOCKET,
        "--delete-existing-uds-file",
        *_APISERVER_CERT,
        "--server-port=0",
        "--agent-port=8091",
        "--health-port=8092",
        "--admin-port=8093",
        "--keepalive-time=1h",
        "--mode=grpc",
        *_KIND_TOKENS,
        "--enable-lease-controller",
    ),
    "examples/kubernetes, static pod": (
        "--log-file=/var/log/konnectivity-server.log",
        "--logtostderr=false",
        "--log-file-max-size=0",
        "--uds-name=/etc/srv/kubernetes/konnectivity-server/konnectivity-server.socket",
        "--cluster-cert=/etc/srv/kubernetes/pki/apiserver.crt",
        "--cluster-key=/etc/srv/kubernetes/pki/apiserver.key",
        "--server-port=0",
        "--agent-port=8091",
        "--health-port=8092",
        "--admin-port=8093",
        "--keepalive-time=1h",
        "--mode=http-connect",
        "--agent-namespace=kube-system",
        "--agent-service-account=konnectivity-agent",
        "--kubeconfig=/etc/srv/kubernetes/konnectivity-server/kubeconfig",
        "--authentication-audience=system:konnectivity-server",
    ),
    "end-to-end tests, leases": (
        *_E2E_PROXY,
        "--enable-lease-controller",
        "--admin-bind-address=",
        "--mode=http-connect",
    ),
    "end-to-end tests, a number": (
        *_E2E_PROXY,
        "--admin-bind-address=",
        "--server-count=2",
        "--mode=http-connect",
    ),
    "Kubernetes' documentation": (
        "--logtostderr=true",
        _SOCKET,
        "--delete-existing-uds-file",
        *_APISERVER_CERT,
        "--mode=grpc",
        "--server-port=0",
        "--agent-port=8132",
        "--admin-port=8133",
        "--health-port=8134",
        "--agent-namespace=kube-system",
        "--agent-service-account=konnectivity-agent",
        "--kubeconfig=/etc/kubernetes/konnectivity-server.conf",
        "--authentication-audience=system:konnectivity-server",
    ),
    "HyperShift": (
        "--logtostderr=true",
        "--log-file-max-size=0",
        "--cluster-cert",
        "/etc/konnectivity/cluster/tls.crt",
        "--cluster-key",
        "/etc/konnectivity/cluster/tls.key",
        "--cluster-ca-cert",
        "/etc/konnectivity/ca/ca.crt",
        "--server-cert",
        "/etc/konnectivity/server/tls.crt",
        "--server-key",
        "/etc/konnectivity/server/tls.key",
        "--server-ca-cert",
        "/etc/konnectivity/ca/ca.crt",
        "--server-port",
        "8090",
        "--agent-port",
        "8091",
        "--health-port",
        "2041",
        "--admin-port=8093",
        "--mode=http-connect",
        "--proxy-strategies=destHost,defaultRoute",
        "--keepalive-time",
        "30s",
        "--frontend-keepalive-time",
        "30s",
        "--server-count",
        "3",
        "--tls-min-version=VersionTLS12",
        "--cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,"
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
    "k0s": (
        "--uds-name=/run/k0s/konnectivity-server/konnectivity-server.sock",
        "--cluster-cert=/var/lib/k0s/pki/server.crt",
        "--cluster-key=/var/lib/k0s/pki/server.key",
        "--kubeconfig=/var/lib/k0s/pki/konnectivity.conf",
        "--mode=grpc",
        "--server-port=0",
        "--agent-port=8132",
        "--admin-port=8133",
        "--health-bind-address=localhost",
        "--health-port=8092",
        "--agent-namespace=kube-system",
        "--agent-service-account=konnectivity-agent",
        "--authentication-audience=system:konnectivity-server",
        "--logtostderr=true",
        "--stderrthreshold=1",
        "--v=1",
        "--enable-profiling=false",
        "--delete-existing-uds-file=true",
        "--server-count=3",
        "--server-id=0f5a1b6c",
        "--proxy-strategies=destHost,defaultRoute,default",
        "--cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,"
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    ),
    "Kubermatic": (
        "--logtostderr=true",
        "-v=3",
        "--cluster-key=/etc/kubernetes/pki/konnectivity-proxy-tls.key",
        "--cluster-cert=/etc/kubernetes/pki/konnectivity-proxy-tls.crt",
        _SOCKET,
        "--kubeconfig=/etc/kubernetes/kubeconfig/konnectivity-server.conf",
        "--server-count=2",
        "--mode=grpc",
        "--server-port=0",
        "--agent-port=8132",
        "--admin-port=8133",
        "--admin-bind-address=0.0.0.0",
        "--health-port=8134",
        "--agent-namespace=kube-system",
        "--agent-service-account=konnectivity-agent",
        "--delete-existing-uds-file=true",
        "--authentication-audience=system:konnectivity-server",
        "--proxy-strategies=default",
        "--keepalive-time=1m",
    ),
}

AGENTS: Mapping[str, Sequence[str]] = {
    "README": (
        "--ca-cert=certs/agent/issued/ca.crt",
        "--agent-cert=certs/agent/issued/proxy-agent.crt",
        "--agent-key=certs/agent/private/proxy-agent.key",
    ),
    "examples/kind": (
        "--logtostderr=true",
        _POD_CA,
        "--proxy-server-host=konnectivity-server.kube-system.svc.cluster.local",
        "--proxy-server-port=8091",
        "--sync-interval=5s",
        "--sync-interval-cap=30s",
        "--probe-interval=5s",
        _TOKEN,
        "--agent-identifiers=ipv4=10.0.0.7",
    ),
    "examples/kind-multinode": (
        "--logtostderr=true",
        _POD_CA,
        "--proxy-server-host=konnectivity-server.kube-system.svc.cluster.local",
        "--proxy-server-port=8091",
        "--sync-interval=5s",
        "--sync-interval-cap=30s",
        "--sync-forever",
        "--probe-interval=5s",
        _TOKEN,
        "--agent-identifiers=ipv4=${HOST_IP}",
        "--count-server-leases",
    ),
    "examples/kubernetes, pod": (
        "--logtostderr=true",
        _POD_CA,
        "--proxy-server-host=192.0.2.1",
        "--proxy-server-port=8091",
        _TOKEN,
    ),
    "end-to-end tests, leases": (
        *_E2E_AGENT,
        "--count-server-leases",
        "--agent-identifiers=ipv4=${HOST_IP}",
        "--admin-bind-address=",
    ),
    "end-to-end tests, a number": (
        *_E2E_AGENT,
        "--agent-identifiers=ipv4=${HOST_IP}",
        "--admin-bind-address=",
    ),
    "Kubernetes' documentation": (
        "--logtostderr=true",
        _POD_CA,
        "--proxy-server-host=35.225.206.7",
        "--proxy-server-port=8132",
        "--admin-server-port=8133",
        "--health-server-port=8134",
        _TOKEN,
    ),
    "HyperShift": (
        "--logtostderr=true",
        "--ca-cert",
        "/etc/konnectivity/ca/ca.crt",
        "--agent-cert",
        "/etc/konnectivity/agent/tls.crt",
        "--agent-key",
        "/etc/konnectivity/agent/tls.key",
        "--proxy-server-host",
        "konnectivity.example.com",
        "--proxy-server-port",
        "443",
        "--health-server-host",
        "127.0.0.1",
        "--health-server-port",
        "2041",
        "--agent-identifiers=default-route=true",
        "--keepalive-time",
        "30s",
        "--probe-interval",
        "5s",
        "--sync-interval",
        "5s",
        "--sync-interval-cap",
        "30s",
        "--sync-forever",
        "--v",
        "3",
    ),
    "k0s": (
        "--logtostderr=true",
        _POD_CA,
        "--proxy-server-host=10.0.0.1",
        "--proxy-server-port=8132",
        _TOKEN,
        "--agent-identifiers=host=node-1&ipv4=10.0.0.7",
        "--agent-id=10.0.0.7",
    ),
    "Kamaji": (
        "--admin-server-port=8133",
        _POD_CA,
        "--health-server-port=8134",
        "--logtostderr=true",
        "--proxy-server-host=10.0.0.1",
        "--proxy-server-port=8132",
        _TOKEN,
        "-v=8",
    ),
    "AKS": (
        "--proxy-server-host=example.hcp.region.example.com",
        "--proxy-server-port=443",
        "--health-server-port=8082",
        "--keepalive-time=30s",
        "--agent-key=/certs/client.key",
        "--agent-cert=/certs/client.crt",
        "--ca-cert=/certs/ca.crt",
        "--sync-forever=true",
        "--agent-identifiers=default-route=true",
        "--alpn-proto=konnectivity",
        "-v=2",
    ),
}


_CLIENT_TLS = (
    "--ca-cert=certs/frontend/issued/ca.crt",
    "--client-cert=certs/frontend/issued/proxy-client.crt",
    "--client-key=certs/frontend/private/proxy-client.key",
)

CLIENTS: Mapping[str, Sequence[str]] = {
    "README, gRPC over mTLS": _CLIENT_TLS,
    "README, gRPC over a unix socket": (
        "--proxy-port=0",
        "--proxy-uds=/tmp/uds-proxy",
        "--proxy-host=",
    ),
    "README, HTTP CONNECT over mTLS": (
        "--mode=http-connect",
        "--proxy-host=127.0.0.1",
        *_CLIENT_TLS,
    ),
    "examples/kubernetes, pod": (
        "--log-file=/var/log/konnectivity-test-client.log",
        "--logtostderr=false",
        "--proxy-uds=/etc/srv/kubernetes/konnectivity-server/konnectivity-server.socket",
        "--proxy-host=",
        "--proxy-port=0",
        "--mode=http-connect",
        "--request-port=80",
        "--request-host=192.0.2.2",
    ),
}
"""Of the test client."""


def with_files(words: Sequence[str], files: Mapping[str, str]) -> list[str]:
    """The list with the files that flags name replaced: `files` is flag to path."""
    replaced: list[str] = []
    awaited = ""
    for word in words:
        name, equals, _ = word.partition("=")
        if awaited:
            replaced.append(files[awaited])
            awaited = ""
        elif name.removeprefix("--") not in files:
            replaced.append(word)
        elif equals:
            replaced.append(f"{name}={files[name.removeprefix('--')]}")
        else:
            replaced.append(word)
            awaited = name.removeprefix("--")
    return replaced
