"""What the tests share: an API server on loopback, and a kubeconfig that leads to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.tcp import Server
from twisted.trial.unittest import TestCase

from konnect.extension.api import ApiAccess
from tests.api_server import ApiServer

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: k, user: u}}}}]
clusters: [{{name: k, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {{token: proxy-token}}}}]
"""


class FakeLog:
    """In the place of a module's `log`: keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _keep(self, format: str, /, *_: object, **fields: Any) -> None:
        self.lines.append(format.format(**fields))

    debug = info = warn = error = failure = _keep

    def about(self, text: str) -> int:
        """How many lines hold this."""
        return sum(text in line for line in self.lines)


class ApiCase(TestCase):
    """A test with an API server. Everything ends within `timeout` seconds."""

    timeout = 20

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor = cast(Any, reactor)
        self.api = ApiServer()
        port = self.reactor.listenTCP(0, self.api.site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(self.no_connections)
        self.addCleanup(self.api.close)
        self.port = port.getHost().port
        self.kubeconfig = self.write_kubeconfig(f"http://127.0.0.1:{self.port}")
        self.access = ApiAccess(kubeconfig=self.kubeconfig, qps=-1.0)

    def write_kubeconfig(self, server: str) -> str:
        """A kubeconfig for the API server at that address; returns its path."""
        path = Path(self.mktemp())
        path.write_text(KUBECONFIG.format(server=server), encoding="ascii")
        return str(path)

    def access_to(self, kubeconfig: str = "") -> ApiAccess:
        """The API server of another kubeconfig, or this one."""
        return ApiAccess(kubeconfig=kubeconfig or self.kubeconfig, qps=-1.0)

    def set_environ(self, name: str, value: str | None) -> None:
        """Set a variable of the environment for this test, or take it out."""
        change = {} if value is None else {name: value}
        patched = mock.patch.dict(os.environ, change)
        patched.start()
        self.addCleanup(patched.stop)
        if value is None:
            os.environ.pop(name, None)

    async def no_connections(self) -> None:
        """End all connections of the API server."""

        def connections() -> list[Server]:
            return [reader for reader in self.reactor.getReaders() if isinstance(reader, Server)]

        for connection in connections():
            connection.abortConnection()
        await self.until(lambda: not connections())

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds that no request tells of; bounded by the test's timeout."""
        done: Deferred[None] = Deferred()

        def look() -> None:
            if condition() and not done.called:
                done.callback(None)

        loop = LoopingCall(look)
        loop.clock = self.reactor
        loop.start(0.005)
        try:
            await done
        finally:
            if loop.running:
                loop.stop()
