"""The plain HTTP ports: health (`/healthz`, `/readyz`, `/metrics`) and admin.

Answers, statuses and bodies are upstream's, for any method. How they get to whom is in
`konnect.ops.web`.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Literal

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.http import Request

from konnect.ops.exposition import CONTENT_TYPE
from konnect.ops.profiling import Profiling
from konnect.ops.web import Answer, Page, Site, parameters

Metrics = Callable[[], bytes | Deferred[bytes]]
"""Asked for the text of `/metrics`, which comes now or later."""

Checks = tuple[bool, list[tuple[str, bool, str]]]
"""Whether all is well, and each check: its name, whether it passed, and why.

`?verbose` tells why of a check that passed too.
"""


def health_site(
    *,
    ready: Callable[[], Checks],
    metrics: Metrics,
    style: Literal["proxy", "agent"],
    reactor: IReactorTime,
) -> Site:
    """
    The health port's site.

    :param ready: asked at every `/readyz`. The agent's first check is `ping`.
    :param style: whose answers: they differ in status, body and `?verbose`.
    :param reactor: for the idle timeout.
    """

    def readiness(request: Request) -> Answer:
        if style == "proxy":
            return _proxy_readiness(ready())
        return _agent_readiness(ready(), verbose="verbose" in parameters(request))

    return Site(
        {
            b"/healthz": lambda _: Answer(b"ok"),
            b"/readyz": readiness,
            b"/ready": readiness,
            b"/metrics": lambda _: _exposed(metrics()),
        },
        reactor,
    )


def admin_site(
    *,
    metrics: Metrics | None = None,
    health_port: int | None = None,
    profiling: Profiling | None = None,
    reactor: IReactorTime,
) -> Site:
    """
    The admin port's site: `/metrics` itself (proxy), or the way to it on `health_port` (agent).

    :param profiling: what is below `/debug/pprof/`; nothing is there if None.
    :param reactor: for the idle timeout.
    :raises ValueError: unless exactly one of `metrics` and `health_port` is given.
    """
    pages: dict[bytes, Page] = {}
    if metrics is not None and health_port is None:
        give = metrics
        pages[b"/metrics"] = lambda _: _exposed(give())
    elif health_port is not None and metrics is None:
        port = health_port
        pages[b"/metrics"] = lambda request: _moved(request, port)
    else:
        raise ValueError("an admin site has either metrics or the port that has them")
    below: Mapping[bytes, Page] = {}
    if profiling is not None:
        pages[b"/debug/pprof"] = profiling.moved
        below = {b"/debug/pprof/": profiling.page}
    return Site(pages, reactor, below)


def _exposed(text: bytes | Deferred[bytes]) -> Answer | Deferred[Answer]:
    if isinstance(text, Deferred):
        return text.addCallback(lambda come: Answer(come, content_type=CONTENT_TYPE))
    return Answer(text, content_type=CONTENT_TYPE)


def _proxy_readiness(checks: Checks) -> Answer:
    passed, details = checks
    if passed:
        return Answer(b"ok")
    return Answer("; ".join(why for _, fine, why in details if not fine).encode(), status=500)


def _agent_readiness(checks: Checks, *, verbose: bool) -> Answer:
    passed, details = checks
    lines = []
    for name, fine, why in details:
        if not fine:
            lines.append(f"[-]{name} failed: {why}\n")
        elif verbose or not why:
            lines.append(f"[+]{name} ok{': ' + why if why else ''}\n")
    if not passed:
        return Answer("".join(lines).encode(), status=503)
    return Answer("".join([*lines, "check passed\n"]).encode() if verbose else b"ok")


def _moved(request: Request, port: int) -> Answer:
    host = (request.getHeader(b"host") or b"").decode("latin-1")
    name, colon, digits = host.rpartition(":")
    if colon and digits.isdigit():
        host = name
    host = host.removeprefix("[").removesuffix("]")
    place = f"//[{host}]:{port}" if ":" in host else f"//{host}:{port}"
    place += request.uri.decode("latin-1")
    if request.method not in (b"GET", b"HEAD"):
        return Answer(b"", 301, "", {"Location": place})
    body = f'<a href="{html.escape(place)}">Moved Permanently</a>.\n\n'.encode()
    return Answer(body, 301, "text/html; charset=utf-8", {"Location": place})
