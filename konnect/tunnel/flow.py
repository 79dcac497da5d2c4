"""How much a link lets its tunnels hold, and for how long: what an operator may choose."""

from __future__ import annotations

from dataclasses import dataclass

from konnect.wire.features import Features

FEATURES = Features(credit=512 * 1024, half_close=True)
"""What a konnect half announces unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Flow:
    """How a link holds its tunnels; bytes and seconds, each a flag of both programs."""

    features: Features = FEATURES
    """What we announce."""
    budget: int = 1024 * 1024
    """Without credit: what a tunnel with a full socket may hold before it keeps the window shut."""
    stall_timeout: float = 30.0
    """Without credit: how long such a tunnel may make no progress."""
    linger: float = 10.0
    """How long the last bytes of a closed tunnel may wait for credit."""
