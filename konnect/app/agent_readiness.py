"""When an agent is ready, and what `/readyz` says of its proxies."""

from __future__ import annotations

from konnect.app.sync_flags import ALL
from konnect.ops.health import Checks


def agent_checks(connected: int, expected: int, known: int, quorum: int) -> Checks:
    """
    The checks of an agent.

    With the default quorum, one, the words are upstream's.

    :param connected: proxies that are linked.
    :param expected: as many as there should be.
    :param known: as many as were met lately.
    :param quorum: as many as have to be linked; `ALL`: all that are expected.
    """
    needed = expected if quorum == ALL else quorum
    ready = connected >= needed
    if ready:
        why = ""
    elif quorum == 1:
        why = "no servers connected"
    else:
        why = f"{connected} of {needed} servers connected"
    return ready, [
        ("ping", True, ""),
        ("server-connected", ready, why),
        ("servers", True, f"{connected} connected, {expected} expected, {known} known"),
    ]
