"""``konnect test-client``: HTTP requests through a proxy, with upstream's flags.

Every request has a tunnel of its own, on a connection of its own, and all run at once. The body
goes to stdout (from ``-v=4`` up, which is the default), errors go to stderr, and one failed request
makes the exit code 1. An answer's status is not judged: that there is one is what is tried here.

The requests are HTTP/1.1, so the flag about HTTP/2 health checks has no effect.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote as quote_url

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.python import usage
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, readBody

from konnect import __version__
from konnect.app import kinds
from konnect.app.command import run_command
from konnect.app.flags import Flag, FlagOptions
from konnect.app.klog import IDLE_KLOG_FLAGS
from konnect.app.quoting import quote
from konnect.client.connect_dial import ConnectDialer
from konnect.client.connections import OwnConnections
from konnect.client.destination import Destination
from konnect.client.dialing import Dialer
from konnect.client.errors import ConnectRefused, DialFailed, StreamSetupFailed
from konnect.client.grpc_dial import GrpcDialer
from konnect.client.web import WebEndpoints
from konnect.net.tls import TlsFileError, client_context, explain

_NO_EFFECT = "Accepted as upstream's flag, without effect: requests are HTTP/1.1."


class TestClientOptions(FlagOptions):
    """The command line of ``konnect test-client``: upstream's."""

    __test__ = False
    about = "Sends HTTP requests through a proxy and prints what comes back."
    flags = (
        Flag("client-cert", kinds.TEXT, "", "The client's certificate, for a proxy on TCP."),
        Flag("client-key", kinds.TEXT, "", "The key of --client-cert."),
        Flag("ca-cert", kinds.TEXT, "", "The authorities that a proxy's certificate may be of."),
        Flag("request-proto", kinds.TEXT, "http", "What to request by: http or https."),
        Flag("request-host", kinds.TEXT, "localhost", "The host of the destination."),
        Flag("request-port", kinds.INT, 8000, "The port of the destination."),
        Flag("request-path", kinds.TEXT, "success", "The path to request; it may have a query."),
        Flag("proxy-host", kinds.TEXT, "localhost", "The proxy's host; empty with --proxy-uds."),
        Flag("proxy-port", kinds.INT, 8090, "The proxy's port; 0 with --proxy-uds."),
        Flag("proxy-uds", kinds.TEXT, "", "The proxy's unix socket."),
        Flag("mode", kinds.TEXT, "grpc", "What the proxy speaks: grpc or http-connect."),
        Flag("user-agent", kinds.TEXT, "test-client", "How to call oneself on a unix socket."),
        Flag("test-requests", kinds.INT, 1, "How many requests to send, all at once."),
        Flag("test-delay", kinds.INT, 0, "Seconds to wait after each request but the last."),
        Flag("after-delay", kinds.INT, 0, "Seconds to wait at the end."),
        Flag("close-idle-conn", kinds.BOOL, True, "Close each tunnel when its answer is there."),
        Flag("enable-http2-healthchecks", kinds.BOOL, True, _NO_EFFECT),
        *IDLE_KLOG_FLAGS,
    )

    def getSynopsis(self) -> str:
        """The first line of the help."""
        return "Usage: konnect test-client [flags]"

    def postOptions(self) -> None:
        """Upstream's checks, in its order and words."""
        try:
            self._validate_files()
            self._validate()
        except usage.UsageError as problem:
            raise usage.UsageError(
                f"failed to validate proxy client options, got: {problem}"
            ) from None

    def _validate_files(self) -> None:
        for name, other in (("client key", "client cert"), ("client cert", "client key")):
            if path := self[name.replace(" ", "-")]:
                _require(path)
                if not self[other.replace(" ", "-")]:
                    raise usage.UsageError(
                        f"cannot have {other} empty when {name} is set to {quote(path)}"
                    )
        if self["ca-cert"]:
            _require(self["ca-cert"])

    def _validate(self) -> None:
        uds = self["proxy-uds"]
        if self["request-proto"] not in ("http", "https"):
            raise usage.UsageError(
                "request protocol must be set to either 'http' or 'https' not "
                + quote(self["request-proto"])
            )
        if self["mode"] not in ("grpc", "http-connect"):
            raise usage.UsageError(
                f"mode must be set to either 'grpc' or 'http-connect' not {quote(self['mode'])}"
            )
        for name in ("request", "proxy"):
            if (port := self[f"{name}-port"]) > 49151:
                raise usage.UsageError(
                    f"please do not try to use ephemeral port {port} for the {name} server port"
                )
        if (port := self["proxy-port"]) < 1024 and not uds:
            raise usage.UsageError(
                f"please do not try to use reserved port {port} for the proxy server port"
            )
        if uds and self["proxy-host"]:
            raise usage.UsageError('please set proxy host to "" when using UDS')
        if uds and self["proxy-port"] != 0:
            raise usage.UsageError("please set proxy server port to 0 when using UDS")
        key, cert, ca = self["client-key"], self["client-cert"], self["ca-cert"]
        if uds and (key or cert or ca):
            raise usage.UsageError(
                "please do not set cert materials when using UDS,"
                f" key = {key}, cert = {cert}, CA = {ca}"
            )
        if not uds and not ca:
            # Upstream says so for each request.
            raise usage.UsageError("failed to load CA cert: no --ca-cert is given")
        self._validate_counts()

    def _validate_counts(self) -> None:
        if (count := self["test-requests"]) < 1:
            raise usage.UsageError(f"please do not ask for fewer than 1 test request({count})")
        for name in ("test-delay", "after-delay"):
            if (seconds := self[name]) < 0:
                raise usage.UsageError(
                    f"please do not ask for less than a 0 second delay({seconds})"
                )
        try:
            Destination(self["request-host"], self["request-port"])
        except ValueError as problem:
            raise usage.UsageError(str(problem)) from None


def _require(path: str) -> None:
    try:
        os.stat(path)
    except OSError as problem:
        text = str(problem.strerror).lower()
        raise usage.UsageError(f"stat {path}: {text}") from None


def make_dialer(reactor: Any, options: TestClientOptions) -> Dialer:
    """The way through the proxy that the flags name. Raises TlsFileError."""
    grpc = options["mode"] == "grpc"
    agent = f"konnect/{__version__}"
    endpoint: IStreamClientEndpoint
    if options["proxy-uds"]:
        endpoint = UNIXClientEndpoint(reactor, options["proxy-uds"])
        agent = f"{options['user-agent']} {agent}" if grpc else options["user-agent"]
    else:
        host = options["proxy-host"]
        context = client_context(
            host,
            options["ca-cert"],
            options["client-cert"] or None,
            options["client-key"] or None,
            ["h2"] if grpc else [],
        )
        plain = HostnameEndpoint(reactor, host, options["proxy-port"])
        endpoint = wrapClientTLS(context, plain, clock=reactor)
    if grpc:
        return GrpcDialer(OwnConnections(endpoint, reactor), reactor, user_agent=agent)
    return ConnectDialer(endpoint, reactor, user_agent=agent)


class Requests:
    """All requests of one run."""

    def __init__(self, reactor: Any, dialer: Dialer, options: TestClientOptions) -> None:
        self._reactor = reactor
        self._dialer = dialer
        self._options = options
        self._endpoints = WebEndpoints(dialer)
        self._pools: list[HTTPConnectionPool] = []
        destination = Destination(options["request-host"], options["request-port"])
        path = quote_url(options["request-path"].lstrip("/"), safe="/!$&'()*+,;=:@~?%")
        self._url = f"{options['request-proto']}://{destination.text}/{path}".encode()
        self._destination = destination.text
        self._proxy = options["proxy-uds"] or f"{options['proxy-host']}:{options['proxy-port']}"

    async def run(self) -> list[str]:
        """Send them all; the texts of those that failed. Raises what printing an answer raised."""
        count = self._options["test-requests"]
        each = [
            Deferred.fromCoroutine(self._one(last=number == count))
            for number in range(1, count + 1)
        ]
        try:
            answers = await gatherResults(each, consumeErrors=True)
            await deferLater(self._reactor, self._options["after-delay"])
        except FirstError as first:
            first.subFailure.raiseException()
        finally:
            for one in each:
                one.cancel()
            for pool in self._pools:
                await pool.closeCachedConnections()
            await self._dialer.close()
        return [answer for answer in answers if answer is not None]

    async def _one(self, *, last: bool) -> str | None:
        pool = HTTPConnectionPool(self._reactor)
        # A request that failed must not be sent again by itself: each is a trial.
        pool.retryAutomatically = False
        self._pools.append(pool)
        agent = Agent.usingEndpointFactory(self._reactor, self._endpoints, pool)
        try:
            response = await agent.request(b"GET", self._url)
        except DialFailed as problem:
            return f"failed to get dialer for client, got {self._dial_text(problem)}"
        except Exception as problem:
            return f"failed to send request to client, got {_text(problem)}"
        try:
            body = await readBody(response)
        except Exception as problem:
            return f"failed to read response from client, got {_text(problem)}"
        if self._options["v"] >= 4:
            print(f"HTML Response:\n{body.decode('utf-8', 'replace')}", flush=True)
        if self._options["close-idle-conn"]:
            await pool.closeCachedConnections()
        if not last:
            await deferLater(self._reactor, self._options["test-delay"])
        return None

    def _dial_text(self, problem: DialFailed) -> str:
        """Upstream's words around what went wrong."""
        proxy, address = self._proxy, self._destination
        if isinstance(problem, ConnectRefused):
            return f"proxy error from {proxy} while dialing {address}: {problem}"
        if self._options["mode"] == "http-connect":
            if isinstance(problem, StreamSetupFailed):
                return f"dialing proxy {quote(proxy)} failed: {problem}"
            return (
                f"reading HTTP response from CONNECT to {address} via proxy {proxy}"
                f" failed: {problem}"
            )
        if isinstance(problem, StreamSetupFailed):
            return f"failed to create tunnel {proxy}, got {problem}"
        return f"failed to dial request {address}, got {problem}"


def _text(problem: Exception) -> str:
    """What is behind a failed request: Twisted's client wraps it in lists."""
    reasons = getattr(problem, "reasons", None)
    inner = reasons[0] if reasons else Failure(problem)
    return explain(inner)


async def _run(reactor: Any, options: TestClientOptions) -> None:
    try:
        dialer = make_dialer(reactor, options)
    except (TlsFileError, ValueError) as problem:
        print(f"Error: {problem}", file=sys.stderr)
        raise SystemExit(1) from None
    failed = await Requests(reactor, dialer, options).run()
    if len(failed) > 1:
        for text in failed:
            print(f"Failed request {text}", file=sys.stderr)
        failed = [f"Requests failed: {len(failed)}"]
    for text in failed:
        print(f"Error: {text}", file=sys.stderr)
        raise SystemExit(1)


def main(argv: Sequence[str]) -> int:
    """Send the requests. Exit code 0, or 1 for a bad flag or a request that failed."""
    return run_command(_run, TestClientOptions(), argv)
