"""The public Go client library against our gRPC frontend: single-use and reusable tunnels."""

from __future__ import annotations

import hashlib
import signal

from tests.interop import go_program
from tests.interop.destination import BANNER, BURST, pattern
from tests.interop.go_program import Held
from tests.interop.pairs import TRANSPORTS, InteropTestCase, Proxy
from tests.interop.processes import wait_until


class GoClientTests(InteropTestCase):
    """What the library's callers see. `reusable=true` is one connection for many dials."""

    def setUp(self) -> None:
        super().setUp()
        go_program.program()

    def frontends(self) -> list[Proxy]:
        """The gRPC frontend of both transports."""
        return [self.pair("grpc", transport).proxy for transport in TRANSPORTS]

    def test_bytes_arrive_whole(self) -> None:
        """4 MiB come back with the same SHA-256, the close is answered and the tunnel ends."""
        for proxy in self.frontends():
            for reusable in ("false", "true"):
                result = go_program.run(
                    proxy, "echo", self.destination["echo"], bytes=4 << 20, reusable=reusable
                )
                self.assertTrue(result["ok"], result)
                self.assertEqual(result["sent"], result["received"])
        self.assert_released("echo")

    def test_dials_one_after_the_other(self) -> None:
        """A reusable tunnel serves fifty connections in a row."""
        for proxy in self.frontends():
            result = go_program.run(
                proxy, "sequential", self.destination["echo"], bytes=9000, count=50, reusable="true"
            )
            self.assertEqual((result.get("good"), result["ok"]), (50, True), result)

    def test_two_hundred_at_once(self) -> None:
        """200 connections are open at the same time and each gets its own bytes back."""
        for proxy in self.frontends():
            for reusable in ("false", "true"):
                result = go_program.run(
                    proxy,
                    "concurrent",
                    self.destination["echo"],
                    bytes=20_000,
                    count=200,
                    reusable=reusable,
                    limit="30s",
                )
                self.assertEqual((result.get("good"), result["ok"]), (200, True), result)
        self.assert_released("echo")

    def test_destination_speaks_first(self) -> None:
        """No greeting is lost or cut, although the library registers a connection late."""
        for proxy in self.frontends():
            for reusable in ("false", "true"):
                result = go_program.run(
                    proxy,
                    "banner",
                    self.destination["banner"],
                    bytes=len(BANNER),
                    count=60,
                    reusable=reusable,
                )
                self.assertEqual((result.get("good"), result["ok"]), (60, True), result)
                self.assertEqual(result["text"], BANNER.decode())

    def test_destination_sends_and_closes(self) -> None:
        """What the destination sent before it closed is delivered to the last byte, then EOF."""
        proxy = self.pair("grpc", "uds").proxy
        for reusable in ("false", "true"):
            result = go_program.run(proxy, "drain", self.destination["burst"], reusable=reusable)
            self.assertTrue(result["ok"], result)
            self.assertEqual(result["bytes"], BURST)
            self.assertEqual(result["received"], hashlib.sha256(pattern(BURST)).hexdigest())

    def test_refused(self) -> None:
        """A refused dial is the destination's failure, in Go's words."""
        for proxy in self.frontends():
            for reusable in ("false", "true"):
                result = go_program.run(proxy, "fail", "127.0.0.1:1", reusable=reusable)
                self.assertTrue(result["ok"], result)
                self.assertTrue(result["is_dial_failure"])
                self.assertEqual(result["reason"], "endpoint")
                self.assertEqual(
                    result["error"], "dial tcp 127.0.0.1:1: connect: connection refused"
                )

    def test_malformed_address(self) -> None:
        """An address without a port fails as Go's net package says it."""
        result = go_program.run(self.pair("grpc", "uds").proxy, "fail", "nonsense")
        self.assertEqual(result["error"], "dial tcp: address nonsense: missing port in address")
        self.assertEqual(result["reason"], "endpoint")

    def test_cancel_during_dial(self) -> None:
        """A caller that gives up gets its reason at once and the tunnel ends."""
        for proxy in self.frontends():
            for reusable in ("false", "true"):
                result = go_program.run(
                    proxy, "cancel", self.destination["full"], after="200ms", reusable=reusable
                )
                self.assertTrue(result["ok"], result)
                self.assertTrue(result["is_dial_failure"])
                self.assertEqual(result["reason"], "context")

    def test_cancel_one_of_many(self) -> None:
        """Giving up one dial of a reusable tunnel leaves its other connections untouched."""
        for proxy in self.frontends():
            result = go_program.run(
                proxy,
                "cancel-one",
                self.destination["full"],
                given=self.destination["echo"] + "\n",
                after="200ms",
                bytes=1 << 20,
                reusable="true",
            )
            self.assertTrue(result["ok"], result)
            self.assertEqual(result["reason"], "context")

    def test_close_while_data_is_in_flight(self) -> None:
        """A close is answered without error while the destination is sending at full speed."""
        for proxy in self.frontends():
            for reusable in ("false", "true"):
                result = go_program.run(
                    proxy,
                    "close-in-flight",
                    self.destination["flood"],
                    bytes=1 << 20,
                    reusable=reusable,
                )
                self.assertTrue(result["ok"], result)
                self.assertEqual(result["received"], _sum_of_flood(1 << 20))
        self.assert_released("flood")

    def test_tunnel_context_ends(self) -> None:
        """Cutting the tunnel's context in the middle of a transfer frees the destination too."""
        for proxy in self.frontends():
            result = go_program.run(proxy, "cut-lifetime", self.destination["flood"], after="300ms")
            self.assertTrue(result["ok"], result)
        self.assert_released("flood")


class GoClientLossTests(InteropTestCase):
    """Ends that come from the other side of a tunnel."""

    def setUp(self) -> None:
        super().setUp()
        go_program.program()

    def hold(self, proxy: Proxy, target: str, **flags: object) -> Held:
        held = Held(proxy, target, **flags)
        self.addCleanup(held.end)
        held.await_event("dialing")
        return held

    def test_no_agent(self) -> None:
        """Without any agent a dial fails at once with upstream's text."""
        result = go_program.run(self.proxy(), "fail", self.destination["echo"])
        self.assertEqual(result["error"], "No agent available")
        self.assertEqual(result["reason"], "endpoint")

    def test_agent_lost(self) -> None:
        """An agent that dies takes its connections with it: EOF; its pending dials fail at once."""
        pair = self.own_pair()
        single = self.hold(pair.proxy, self.destination["echo"])
        reusable = self.hold(pair.proxy, self.destination["echo"], reusable="true")
        single.await_event("held")
        reusable.await_event("held")
        pending = self.hold(pair.proxy, self.destination["full"], limit="20s")
        wait_until(lambda: pair.proxy.metric("pending_backend_dials") == 1, "a pending dial")
        pair.agent.program.signal(signal.SIGKILL)
        for held in (single, reusable):
            self.assertTrue(held.await_event("result")["ok"])
        # Were the client not told, its own limit would end the dial, with reason "context".
        result = pending.await_event("result")
        self.assertEqual(result["reason"], "endpoint", result)
        self.assertTrue(result["done"])

    def test_proxy_lost(self) -> None:
        """A proxy that dies ends the tunnels through it, and the destination is let go."""
        pair = self.own_pair()
        held = self.hold(pair.proxy, self.destination["echo"])
        held.await_event("held")
        pair.proxy.program.signal(signal.SIGKILL)
        self.assertTrue(held.await_event("result")["ok"])
        self.assert_released("echo")


def _sum_of_flood(length: int) -> str:
    """SHA-256 of the first bytes of what the flooding destination sends."""
    chunk = pattern(65536)
    data = chunk * (length // len(chunk) + 1)
    return hashlib.sha256(data[:length]).hexdigest()
