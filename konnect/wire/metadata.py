"""What agent and proxy tell each other in the metadata of `/AgentService/Connect`.

The agent says who it is (`agentid`, `agentidentifiers`, `authorization`) in its request headers;
the proxy answers with `serverid` and `servercount` in its response headers. Texts of errors are
upstream's, word for word, since they go out as status messages. Whether a token is valid is not
decided here.

Source: upstream's behaviour; `agentidentifiers` follows Go's url.ParseQuery.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from konnect.wire.events import Metadata

AGENT_ID = "agentid"
AGENT_IDENTIFIERS = "agentidentifiers"
AUTHORIZATION = "authorization"
SERVER_ID = "serverid"
SERVER_COUNT = "servercount"

_BEARER = "Bearer "
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)
_GO_INT = re.compile(r"[+-]?[0-9]+")


class AdmissionError(ValueError):
    """The agent's metadata does not admit it. The text is the status message to answer with."""


class HelloError(ValueError):
    """The proxy's response headers are not those of a proxy."""


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What an agent says it can reach, each value exactly as given."""

    ipv4: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    cidr: tuple[str, ...] = ()
    default_route: bool = False


@dataclass(frozen=True, slots=True)
class AgentHello:
    """The request metadata of one agent, but for its token (`bearer_token`)."""

    agent_id: str
    identifiers: Identifiers


@dataclass(frozen=True, slots=True)
class ProxyHello:
    """The response metadata of one proxy."""

    server_id: str
    server_count: int


def parse_identifiers(text: str) -> Identifiers:
    """Read a URL query string of identifiers. Unknown keys are ignored, values are not validated.

    Raises `AdmissionError` for a semicolon or a bad percent escape, as Go's url.ParseQuery does.
    """
    found: dict[str, list[str]] = {}
    error = ""
    for pair in text.split("&"):
        if ";" in pair:
            error = "invalid semicolon separator in query"
            continue
        key, _, value = pair.partition("=")
        bad = _BAD_ESCAPE.search(key) or _BAD_ESCAPE.search(value)
        if bad is not None:
            error = error or f'invalid URL escape "{bad[0]}"'
            continue
        found.setdefault(_unescape(key), []).append(_unescape(value))
    if error:
        raise AdmissionError(f"fail to parse url encoded string: {error}")
    return Identifiers(
        ipv4=tuple(found.get("ipv4", ())),
        ipv6=tuple(found.get("ipv6", ())),
        host=tuple(found.get("host", ())),
        cidr=tuple(found.get("cidr", ())),
        default_route=found.get("default-route", ("",))[0] in _TRUE,
    )


def parse_agent_hello(metadata: Metadata) -> AgentHello:
    """Read an agent's request metadata.

    Raises `AdmissionError`; the token is not looked at.
    """
    ids = _values(metadata, AGENT_ID)
    if len(ids) != 1:
        raise AdmissionError(f"expected one agent ID in the context, got {_go_list(ids)}")
    texts = _values(metadata, AGENT_IDENTIFIERS)
    if len(texts) > 1:
        raise AdmissionError(
            f"expected at most one set of agent identifiers in the context, got {_go_list(texts)}"
        )
    identifiers = parse_identifiers(texts[0]) if texts else Identifiers()
    return AgentHello(ids[0], identifiers)


def bearer_token(metadata: Metadata) -> str:
    """The agent's token, where one is demanded. It may be empty. Raises `AdmissionError`."""
    values = _values(metadata, AUTHORIZATION)
    if not values:
        raise AdmissionError("Authentication context was not found in metadata")
    if len(values) > 1:
        raise AdmissionError(f"too many ({len(values)}) tokens are received")
    if not values[0].startswith(_BEARER):
        raise AdmissionError(f'received token does not have "{_BEARER}" prefix')
    return values[0][len(_BEARER) :]


def parse_proxy_hello(metadata: Metadata) -> ProxyHello:
    """Read a proxy's response metadata. Raises `HelloError`."""
    ids = _values(metadata, SERVER_ID)
    if len(ids) != 1:
        raise HelloError(f"expected one server ID in the context, got {_go_list(ids)}")
    counts = _values(metadata, SERVER_COUNT)
    if len(counts) != 1:
        raise HelloError(f"expected one server count, got {len(counts)}")
    return ProxyHello(ids[0], _go_atoi(counts[0]))


def agent_hello(agent_id: str, identifiers_text: str, token: str | None = None) -> Metadata:
    """An agent's request metadata. The identifiers are sent even when empty, as upstream does."""
    metadata = [(AGENT_ID, agent_id), (AGENT_IDENTIFIERS, identifiers_text)]
    if token is not None:
        metadata.append((AUTHORIZATION, _BEARER + token))
    return metadata


def proxy_hello(server_id: str, server_count: int) -> Metadata:
    """A proxy's response metadata."""
    return [(SERVER_ID, server_id), (SERVER_COUNT, str(server_count))]


def _values(metadata: Metadata, key: str) -> list[str]:
    return [value for name, value in metadata if name == key]


def _go_list(values: Iterable[str]) -> str:
    return f"[{' '.join(values)}]"


def _go_atoi(text: str) -> int:
    # Go knows no underscores, spaces or digits of other scripts, which int() would take.
    if not _GO_INT.fullmatch(text):
        raise HelloError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    digits = text.lstrip("+-").lstrip("0")
    if len(digits) > 19 or not -(2**63) <= int(text) < 2**63:
        raise HelloError(f'strconv.Atoi: parsing "{text}": value out of range')
    return int(text)


def _unescape(text: str) -> str:
    raw = unquote_to_bytes(text.replace("+", " ").encode("utf-8", "surrogateescape"))
    return raw.decode("utf-8", "surrogateescape")
