"""Finds what implements an extension point, by `twisted.plugin`.

A distribution adds to konnect by installing a file into `twisted/plugins/` (without an
`__init__.py`) that holds instances which provide `IPlugin` and one of the interfaces beside this
module. A file that cannot be imported is logged by Twisted and passed by; others still work.
"""

from __future__ import annotations

from typing import Any

import twisted.plugins
from twisted.plugin import getPlugins


def installed(interface: Any, package: Any = twisted.plugins) -> dict[str, Any]:
    """
    What is installed of an interface whose plugins have a `name`, by that name.

    Of two with one name konnect's own comes first, so that no other distribution replaces a
    built-in one by accident; among others the order is that of `sys.path`.
    """
    found: dict[str, Any] = {}
    for plugin in getPlugins(interface, package):
        known = found.get(plugin.name)
        if known is None or (_is_ours(plugin) and not _is_ours(known)):
            found[plugin.name] = plugin
    return found


def _is_ours(plugin: Any) -> bool:
    return type(plugin).__module__.startswith("konnect.")
