"""Every set of objects that deploy/ holds or makes: what is applied together."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.deploy.objects import DEPLOY, Object, load

KIND = DEPLOY / "kind"
STATIC_PODS = DEPLOY / "static-pods"
QUICKSTART = DEPLOY / "kind-multinode" / "quickstart-kind.sh"

VALUES = {
    "PROXY_IMAGE": "konnect/proxy-server:1",
    "AGENT_IMAGE": "konnect/proxy-agent:1",
    "TEST_CLIENT_IMAGE": "konnect/proxy-test-client:1",
    "TEST_SERVER_IMAGE": "konnect/http-test-server:1",
    "CLUSTER_IP": "192.0.2.1",
    "CLUSTER_CERT": "Zm9v",
    "SERVER_TOKEN": "secret",
    "TARGET_IP": "192.0.2.2",
}
"""What the files of deploy/static-pods are filled with."""

ON_PORTS: Mapping[str, Any] = {
    "tokenAudience": "",
    "leases": False,
    "serverCount": 3,
    "proxyHost": "proxy.example",
    "server": {
        "kind": "Deployment",
        "replicas": 3,
        "mode": "http-connect",
        "socketFolder": "",
        "frontendSecret": "frontend",
        "certSecret": "cluster",
        "clusterCA": True,
        "kubeconfig": "",
        "hostFolder": "",
        "runAsUser": 65532,
        "extraArgs": ["--buffer-limit=1000000"],
        "podDisruptionBudget": {"enabled": True},
    },
    "agent": {"kind": "Deployment", "certSecret": "agent", "hostNetwork": True},
}
"""The chart's values for mutual TLS on both sides of proxies behind a Service."""


def objects(*files: Path) -> list[Object]:
    """The objects of files that are applied together."""
    return [item for file in files for item in load(file.read_text(), **VALUES)]


def kind() -> list[Object]:
    """One control plane of kind."""
    return objects(KIND / "konnectivity-server.yaml", KIND / "konnectivity-agent.yaml")


def static_pods() -> list[Object]:
    """Pods for a control plane that is not made by kubeadm."""
    return objects(*sorted(STATIC_PODS.glob("*.yaml")))


def quickstart(folder: Path, *flags: str) -> list[Object]:
    """Several control planes of kind: what the script makes for them, in a folder for it."""
    done = run_quickstart(folder, *flags)
    if done.returncode:
        raise AssertionError(done.stdout)
    return objects(*sorted(folder.glob("konnectivity-*.yaml")), *folder.glob("agent-leases.yaml"))


def run_quickstart(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Let the script write its files."""
    return subprocess.run(
        [QUICKSTART, "--render-only", folder, *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
