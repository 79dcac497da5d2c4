"""Asking a site without a socket."""

from __future__ import annotations

from typing import Any

from twisted.internet.testing import StringTransport

from konnect.ops.web import Site


def connect(site: Site) -> tuple[Any, StringTransport]:
    """A connection to the site: its protocol and its transport."""
    transport = StringTransport()
    protocol: Any = site.buildProtocol(None)
    protocol.makeConnection(transport)
    return protocol, transport


def ask(
    site: Site, path: str, method: str = "GET", host: str = "a:1", more: str = "", body: str = ""
) -> tuple[int, dict[str, str], str]:
    """Status, headers (names in lower case) and body of one answer."""
    protocol, transport = connect(site)
    request = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n{body}"
    protocol.dataReceived(request.encode())
    head, _, answer = transport.value().decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), {name.lower(): headers[name] for name in headers}, answer
