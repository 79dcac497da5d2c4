"""Tests of konnect.client.ledger and konnect.client.metrics."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from twisted.internet.error import ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase

from konnect.client import connect_dial, dialing, grpc_dial, tunnel_transport
from konnect.client import ledger as books
from konnect.client import metrics as shown
from konnect.client.errors import DialFailed, DialTimeout
from konnect.client.ledger import DIALING, OPEN, ClientLedger, TunnelState
from konnect.client.metrics import register_metrics
from konnect.client.shared import SharedConnection
from konnect.wire import packets
from konnect.wire.connect import ESTABLISHED, error_response
from konnect.wire.status import OK, Status
from tests.client.grpc_case import WEB, GrpcCase
from tests.client.scripted import CONNECT_ID
from tests.client.test_connect_dial import ConnectCase

C = "konnectivity_network_proxy_client_"

# Facts that upstream's own test suites match byte for byte.
FAMILIES = {
    "client_connections gauge": "Number of open client connections, by status (Example: dialing)",
    "dial_failure_total counter": (
        "Number of dial failures observed, by reason (example: remote endpoint error)"
    ),
    "stream_errors_total counter": (
        "Count of gRPC stream errors, by segment, grpc Code, packet type."
        " (example: from_agent, Code.Unavailable, DIAL_RSP)"
    ),
    "stream_packets_total counter": (
        "Count of packets processed, by segment and packet type (example: from_client, DIAL_REQ)"
    ),
}


class Books(SynchronousTestCase):
    """Base: books of the test's own in the place of the process's."""

    ledger: ClientLedger

    def setUp(self) -> None:
        super().setUp()
        self.ledger = ClientLedger()
        for module in (books, connect_dial, dialing, grpc_dial, shown, tunnel_transport):
            if hasattr(module, "ledger"):
                self.patch(module, "ledger", self.ledger)

    def tunnels(self) -> dict[str, int]:
        """How many are in each state that some are in."""
        return {state: count for state, count in self.ledger.tunnels.items() if count}

    def lines(self) -> list[str]:
        """What a registry shows."""
        registry = CollectorRegistry()
        register_metrics(registry)
        return generate_latest(registry).decode().splitlines()


class MetricsTests(Books):
    """What is shown."""

    def test_families(self) -> None:
        """Names, types and help texts are upstream's."""
        self.ledger.dial_failed(DialTimeout())
        self.ledger.sent("DATA")
        self.ledger.stream_ended(Status.UNAVAILABLE)
        TunnelState()
        expected = set()
        for name, text in FAMILIES.items():
            expected |= {f"# TYPE {C}{name}", f"# HELP {C}{name.split()[0]} {text}"}
        self.assertEqual({line for line in self.lines() if line.startswith("#")}, expected)

    def test_samples(self) -> None:
        """Labels and values."""
        self.ledger.dial_failed(DialTimeout())
        self.ledger.dial_failed(ValueError())
        self.ledger.dial_failed(DialFailed("nonsense"))
        self.ledger.sent("DIAL_REQ")
        self.ledger.received("DATA")
        self.ledger.received("DATA")
        self.ledger.stream_ended(Status.UNAVAILABLE)
        self.ledger.stream_ended(OK)
        state = TunnelState()
        TunnelState().over()
        state.become(DIALING)
        self.assertEqual(
            {line for line in self.lines() if not line.startswith("#")},
            {
                C + 'dial_failure_total{reason="timeout"} 1.0',
                C + 'dial_failure_total{reason="unknown"} 2.0',
                C + 'client_connections{status="created"} 0.0',
                C + 'client_connections{status="dialing"} 1.0',
                C + 'stream_packets_total{packet_type="DIAL_REQ",segment="from_client"} 1.0',
                C + 'stream_packets_total{packet_type="DATA",segment="to_client"} 2.0',
                C + 'stream_errors_total{code="Unavailable",packet_type="Unknown",'
                'segment="to_client"} 1.0',
            },
        )

    def test_registered_twice(self) -> None:
        """A registry shows them once, however often it is asked; each registry does."""
        registry, other = CollectorRegistry(), CollectorRegistry()
        for _ in range(2):
            register_metrics(registry)
        register_metrics(other)
        self.ledger.sent("DATA")
        for each in (registry, other):
            text = generate_latest(each).decode()
            self.assertEqual(text.count("stream_packets_total{"), 1)

    def test_states(self) -> None:
        """A tunnel that is over stays so, and counts once."""
        state = TunnelState()
        state.become(OPEN)
        state.over()
        state.over()
        state.become(OPEN)
        self.assertEqual(self.tunnels(), {})

    def test_no_cost_unasked(self) -> None:
        """Who does not register them does not import prometheus-client."""
        program = (
            "import sys, konnect.client.endpoint_string, konnect.client.web\n"
            "sys.exit('prometheus_client' in sys.modules)"
        )
        result = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
        self.assertEqual(result.returncode, 0)


class GrpcTests(Books, GrpcCase):
    """A tunnel through a gRPC frontend."""

    def test_whole_life(self) -> None:
        """From its dial to its end."""
        self.endpoint.slow = True
        dialed = self.dialer.dial(WEB, self.factory)
        self.assertEqual(self.tunnels(), {"created": 1})
        self.endpoint.complete()
        self.endpoint.flush()
        self.assertEqual(self.tunnels(), {"dialing": 1})
        self.proxy.accept(packets.data(CONNECT_ID, b"hello"), stream=1)
        self.endpoint.flush()
        recorder: Any = self.successResultOf(dialed)
        self.assertEqual(self.tunnels(), {"ok": 1})
        recorder.transport.write(b"x")
        recorder.transport.loseConnection()
        self.endpoint.flush()
        self.finish()
        self.assertEqual(self.tunnels(), {})
        self.assertEqual(dict(self.ledger.dial_failures), {})
        self.assertEqual(
            dict(self.ledger.packets),
            {
                ("from_client", "DIAL_REQ"): 1,
                ("to_client", "DIAL_RSP"): 1,
                ("to_client", "DATA"): 1,
                ("from_client", "DATA"): 1,
                ("from_client", "CLOSE_REQ"): 1,
            },
        )

    def test_cancelled(self) -> None:
        """A dial that is given up."""
        dialed = self.dial()
        dialed.cancel()
        self.failureResultOf(dialed)
        self.assertEqual(dict(self.ledger.dial_failures), {"context": 1})
        self.assertEqual(self.ledger.packets["from_client", "DIAL_CLS"], 1)
        self.assertEqual(self.tunnels(), {})
        self.finish()

    def test_unreachable(self) -> None:
        """A proxy that is not there."""
        self.endpoint.failure = ConnectionRefusedError()
        self.failureResultOf(self.dial())
        self.assertEqual(dict(self.ledger.dial_failures), {"streamsetup": 1})
        self.assertEqual((self.tunnels(), dict(self.ledger.packets)), ({}, {}))

    def test_lost(self) -> None:
        """A connection that breaks, during a dial and behind it."""
        self.open()
        dialed = self.dial()
        for peer in self.endpoint.peers:
            peer.transport.loseConnection()
        self.endpoint.flush()
        self.failureResultOf(dialed)
        self.finish()
        self.assertEqual(dict(self.ledger.dial_failures), {"tunnelclosed": 1})
        self.assertEqual(
            dict(self.ledger.stream_errors), {("to_client", "Unavailable", "Unknown"): 2}
        )
        self.assertEqual(self.tunnels(), {})


class SharedTests(Books, GrpcCase):
    """Tunnels that share a connection."""

    connections = SharedConnection

    def test_each_counts(self) -> None:
        """Each tunnel counts by itself."""
        self.open()
        self.dial()
        self.assertEqual(self.tunnels(), {"ok": 1, "dialing": 1})
        self.finish()
        self.assertEqual(self.tunnels(), {})


class ConnectTests(Books, ConnectCase):
    """A tunnel through a CONNECT frontend."""

    def test_whole_life(self) -> None:
        """From its dial to its end."""
        dialed = self.dial()
        self.assertEqual(self.tunnels(), {"dialing": 1})
        self.answer(ESTABLISHED)
        recorder: Any = self.successResultOf(dialed)
        self.assertEqual(self.tunnels(), {"ok": 1})
        recorder.transport.loseConnection()
        self.endpoint.flush()
        self.assertEqual(self.tunnels(), {})
        self.assertEqual((dict(self.ledger.dial_failures), dict(self.ledger.packets)), ({}, {}))

    def test_refused(self) -> None:
        """A dial that the proxy refuses."""
        dialed = self.dial()
        self.answer(error_response(502, "no"))
        self.failureResultOf(dialed)
        self.endpoint.flush()
        self.assertEqual(dict(self.ledger.dial_failures), {"endpoint": 1})
        self.assertEqual(self.tunnels(), {})

    def test_unreachable(self) -> None:
        """A proxy that is not there."""
        self.endpoint.failure = ConnectionRefusedError()
        self.failureResultOf(self.dial())
        self.assertEqual(dict(self.ledger.dial_failures), {"streamsetup": 1})
        self.assertEqual(self.tunnels(), {})
