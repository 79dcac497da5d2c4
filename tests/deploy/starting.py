"""Argument lists of manifests through the options of the programs that they start."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Sequence

from konnect.app.agent_options import AgentConfig, AgentOptions
from konnect.app.proxy_options import ProxyConfig, ProxyOptions
from tests.app.manifests import with_files

_FILES = (
    *("server-cert", "server-key", "server-ca-cert", "cluster-cert", "cluster-key"),
    *("cluster-ca-cert", "ca-cert", "agent-cert", "agent-key"),
    *("kubeconfig", "service-account-token-path"),
)


def proxy_config(arguments: Sequence[str]) -> ProxyConfig:
    """What a proxy makes of them, with files that exist.

    Raises usage.UsageError for what it would not start with, AssertionError for a warning.
    """
    options = ProxyOptions({})
    _parse(options, arguments)
    return options.config


def agent_config(arguments: Sequence[str]) -> AgentConfig:
    """The same for an agent."""
    options = AgentOptions({})
    _parse(options, arguments)
    return options.config


def _parse(options: ProxyOptions | AgentOptions, arguments: Sequence[str]) -> None:
    with tempfile.NamedTemporaryFile() as file, contextlib.redirect_stderr(io.StringIO()) as warned:
        options.parseOptions(with_files(arguments, dict.fromkeys(_FILES, file.name)))
    if warned.getvalue():
        raise AssertionError(warned.getvalue())


def one_socket(config: ProxyConfig) -> bool:
    """Whether clients reach a proxy by a unix socket only, which is this proxy's alone."""
    return bool(config.uds_name) and not config.server_port


def proxy_ports(config: ProxyConfig) -> set[int]:
    """The TCP ports that it listens on, on whatever addresses."""
    ports = {config.server_port, config.agent_port, config.health_port, config.admin_port}
    return ports - {0}


def agent_ports(config: AgentConfig) -> set[int]:
    """The same of an agent."""
    return {config.health_server_port, config.admin_server_port} - {0}
