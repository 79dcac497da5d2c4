"""How many files the process may have open: as many as it is allowed to, as Go's programs do.

Every tunnel takes a descriptor. Service managers usually start programs with a soft limit of 1024,
for the sake of those that use select(2), and with a hard limit that is much higher.
"""

from __future__ import annotations

import resource

from konnect.log import make_logger

log = make_logger(__name__)


def take_all() -> None:
    """Raise the soft limit to the hard one; where that is refused, say so and go on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        log.warn("open files stay limited to {soft}: {error}", soft=soft, error=error)
