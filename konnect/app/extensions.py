"""Finds what a flag asks for in the distributions that add to konnect, or says what to install."""

from __future__ import annotations

from typing import Any

from konnect.extension.finding import installed

KUBERNETES = "konnect-kubernetes"


class CannotStart(Exception):
    """The program cannot do what its flags ask for; the text says why, and what to do."""


def kubernetes_plugin(interface: Any, flag: str) -> Any:
    """
    The plugin that provides `interface` for Kubernetes.

    Raises `CannotStart` where it is not installed; `flag` is what asks for it.
    """
    plugin = installed(interface).get("kubernetes")
    if plugin is None:
        raise CannotStart(
            f"{flag} needs {KUBERNETES}, which is not installed for this Python:"
            f" install it beside konnect (pip install {KUBERNETES},"
            " or pip install ./plugins/kubernetes in a clone of konnect)"
        )
    return plugin
