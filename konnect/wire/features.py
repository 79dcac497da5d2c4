"""What two konnect halves can do beyond upstream's protocol, and how they tell each other.

Each side announces its features in the metadata of `AgentService/Connect`: the agent in the request
headers, the proxy in the response headers. Stock peers ignore unknown metadata and announce
nothing, so with them every feature is off. A feature is used only when both sides have announced
it.

    konnect-features: credit=524288,half-close

`credit=N`: every tunnel begins with N bytes that the *other* side may send; more is allowed, and
some of it taken back, by CREDIT packets. `half-close`: the end of one direction is a HALF_CLOSE
packet of its own, and a CLOSE_RSP says why in its `error`. Unknown or unreadable features are
ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

KEY = "konnect-features"
"""The metadata key."""

MIN_CREDIT = 16 * 1024
MAX_CREDIT = 2**31 - 1

Metadata = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Features:
    """One side's features; the default is a stock peer's."""

    credit: int = 0
    """Receive window per tunnel and direction, in bytes; 0: no credit."""
    half_close: bool = False

    def metadata(self) -> Metadata:
        """The announcement; empty when there is nothing to announce."""
        parts = [f"credit={self.credit}"] if self.credit else []
        if self.half_close:
            parts.append("half-close")
        return ((KEY, ",".join(parts)),) if parts else ()


STOCK = Features()
"""Nothing announced."""


def parse(metadata: Metadata) -> tuple[Features, list[str]]:
    """
    The peer's features, and what of its announcement was not understood.

    A credit out of bounds counts as not announced: a window of a few bytes would only stall.
    """
    credit = 0
    half_close = False
    ignored: list[str] = []
    for key, value in metadata:
        if key != KEY:
            continue
        for part in value.split(","):
            name, equals, number = part.strip().partition("=")
            if name == "credit" and _is_credit(number):
                credit = int(number)
            elif name == "half-close" and not equals:
                half_close = True
            elif part.strip():
                ignored.append(part.strip()[:64])
    return Features(credit, half_close), ignored


def _is_credit(number: str) -> bool:
    digits = number.isascii() and number.isdigit() and len(number) <= 10
    return digits and MIN_CREDIT <= int(number) <= MAX_CREDIT


def common(ours: Features, theirs: Features) -> tuple[int, int, bool]:
    """
    What is in force: bytes we may send at first, bytes we receive at first, half-close.

    (0, 0, ...) without credit.
    """
    half_close = ours.half_close and theirs.half_close
    if not (ours.credit and theirs.credit):
        return 0, 0, half_close
    return theirs.credit, ours.credit, half_close
