"""A link as strategies see it, for the tests of routing."""

from __future__ import annotations

from dataclasses import dataclass, field

from konnect.wire.metadata import Identifiers, parse_identifiers


@dataclass(eq=False)
class Link:
    """What may be known of a link."""

    agent_id: str
    draining: bool = False
    identifiers: Identifiers = field(default_factory=Identifiers)
    suspect: bool = False
    fresh: bool = False
    load: int = 0


def link(identifiers: str = "", agent_id: str = "a", **state: bool) -> Link:
    """A link of an agent that says this of itself, as a URL query."""
    return Link(agent_id, identifiers=parse_identifiers(identifiers), **state)
