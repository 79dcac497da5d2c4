"""Argument lists of manifests through the options of the programs that they start."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Sequence

from twisted.python import usage

from konnect.app.agent_options import AgentConfig, AgentOptions
from konnect.app.proxy_options import ProxyConfig, ProxyOptions

_FILES = (
    *("server-cert", "server-key", "server-ca-cert", "cluster-cert", "cluster-key"),
    *("cluster-ca-cert", "ca-cert", "agent-cert", "agent-key"),
    *("kubeconfig", "service-account-token-path"),
)


def proxy_config(arguments: Sequence[str]) -> ProxyConfig | None:
    """What a proxy makes of them, with files that exist; None where a feature is still missing.

    Raises usage.UsageError for what it would not start with.
    """
    options = ProxyOptions()
    return options.config if _parse(options, arguments) else None


def agent_config(arguments: Sequence[str]) -> AgentConfig | None:
    """The same for an agent."""
    options = AgentOptions()
    return options.config if _parse(options, arguments) else None


def _parse(options: ProxyOptions | AgentOptions, arguments: Sequence[str]) -> bool:
    with tempfile.NamedTemporaryFile() as file, contextlib.redirect_stderr(io.StringIO()) as warned:
        words = [
            f"{flag}={file.name}" if flag.removeprefix("--") in _FILES else word
            for word, flag in ((word, word.partition("=")[0]) for word in arguments)
        ]
        try:
            options.parseOptions(words)
        except usage.UsageError as error:
            if "is not available in this version" in str(error):
                return False
            raise
    if warned.getvalue():
        raise AssertionError(warned.getvalue())
    return True
