"""Tests of konnect.ops.account_lines."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime

from twisted.trial.unittest import SynchronousTestCase

from konnect.ops.account_lines import LONGEST, bare_line, json_line, text_line
from konnect.tunnel.account import Account, Client

TUNNEL = Account(
    Client("connect", "192.0.2.9:1", "me"),
    "node-a",
    "192.0.2.1:5",
    "host:80",
    True,
    0.25,
    2.0,
    3,
    4,
    "client_closed",
    "",
)
DIAL = TUNNEL._replace(opened=False, reason="refused", text="connection refused")
AT = 1795500000.25


class TextTests(SynchronousTestCase):
    """Pairs of names and values."""

    def test_tunnel(self) -> None:
        """A tunnel's line has everything, with units where there are any."""
        self.assertEqual(
            bare_line(AT, "agent", TUNNEL),
            "tunnel ended: client=192.0.2.9:1 user=me frontend=connect agent=node-a"
            " link=192.0.2.1:5 destination=host:80 dial=0.250000s duration=2.000000s"
            " to_destination=3 to_client=4 reason=client_closed\n",
        )

    def test_dial(self) -> None:
        """A failed dial has no duration and no bytes, but an error."""
        self.assertEqual(
            bare_line(AT, "agent", DIAL),
            "dial failed: client=192.0.2.9:1 user=me frontend=connect agent=node-a"
            " link=192.0.2.1:5 destination=host:80 dial=0.250000s reason=refused"
            ' error="connection refused"\n',
        )

    def test_at_the_agent(self) -> None:
        """An agent knows no client; the word for the other side is proxy."""
        line = bare_line(AT, "proxy", TUNNEL._replace(client=None))
        self.assertTrue(line.startswith("tunnel ended: proxy=node-a link="), line)

    def test_unknown(self) -> None:
        """A client without a certificate has no user, a dial without a link no agent."""
        account = DIAL._replace(link="", client=Client("grpc", "unix socket"))
        self.assertTrue(
            bare_line(AT, "agent", account).startswith(
                'dial failed: client="unix socket" frontend=grpc destination='
            )
        )

    def test_hostile_values(self) -> None:
        """No value can begin a line or a field of its own, or be endless."""
        for value in ("a\nb", "a b", 'a"b', "a=b", "a\\b", "\x1b[2J", "\u2028", "", "é" * 9):
            line = bare_line(AT, "agent", TUNNEL._replace(destination=value))
            self.assertIn(f" destination={json.dumps(value)} dial=", line)
            self.assertEqual(line.count("\n"), 1)
        line = bare_line(AT, "agent", TUNNEL._replace(destination="x" * 100_000))
        self.assertIn(f" destination={'x' * LONGEST}... dial=", line)

    def test_remembered(self) -> None:
        """What is looked up as it was written before is what this account has, to its last
        character; beyond what is shown, nothing of it is kept."""
        whole, longer = "x" * LONGEST, "x" * LONGEST + "y"
        for name, shown in ((whole, whole), (longer, whole + "..."), (whole, whole)):
            account = DIAL._replace(link=name, destination=name, text=name)
            line = bare_line(AT, "agent", account)
            for field in (f" agent={shown} link=", f" destination={shown} dial=", f"={shown}\n"):
                self.assertIn(field, line)
        for side, client in (("agent", ("grpc", "a", "b")), ("proxy", ("grpc", "a", ""))):
            line = bare_line(AT, side, TUNNEL._replace(client=Client(*client)))
            user = " user=b" if client[2] else ""
            self.assertIn(f": client=a{user} frontend=grpc {side}=node-a link=", line)

    def test_header(self) -> None:
        """The time is the end's, in the zone of the machine, as Twisted writes it."""
        zone = os.environ.get("TZ")
        self.addCleanup(self.set_zone, zone)
        self.set_zone("Asia/Kolkata")
        self.assertTrue(
            text_line(AT + 86400, "agent", TUNNEL).startswith(
                "2026-11-25T11:30:00+0530 [konnect.tunnels#info] tunnel ended: client="
            )
        )

    def set_zone(self, zone: str | None) -> None:
        """Be in this zone; None: in the machine's own."""
        if zone is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = zone
        time.tzset()


class JsonTests(SynchronousTestCase):
    """Objects."""

    def test_tunnel(self) -> None:
        """A tunnel's object has everything, numbers as numbers, units in the names."""
        self.assertEqual(
            json.loads(json_line(AT, "agent", TUNNEL)),
            {
                "time": "2026-11-24T06:00:00.250000Z",
                "level": "info",
                "logger": "konnect.tunnels",
                "message": "tunnel ended",
                "client": "192.0.2.9:1",
                "user": "me",
                "frontend": "connect",
                "agent": "node-a",
                "link": "192.0.2.1:5",
                "destination": "host:80",
                "dial_seconds": 0.25,
                "duration_seconds": 2.0,
                "to_destination_bytes": 3,
                "to_client_bytes": 4,
                "reason": "client_closed",
            },
        )

    def test_dial(self) -> None:
        """A failed dial's object, of an agent that knows no client."""
        fields = json.loads(json_line(AT, "proxy", DIAL._replace(client=None)))
        self.assertEqual(
            list(fields),
            [
                "time",
                "level",
                "logger",
                "message",
                "proxy",
                "link",
                "destination",
                "dial_seconds",
                "reason",
                "error",
            ],
        )
        self.assertEqual(fields["error"], "connection refused")

    def test_hostile_values(self) -> None:
        """Every value that a peer chose comes out as it was, cut to a length, in one line."""
        for value in ("a\nb", 'a"b', "a\\b", "\x00", "\ud800", "é"):
            account = DIAL._replace(
                destination=value, link=value, text=value, client=Client("grpc", value, value)
            )
            line = json_line(AT, "agent", account)
            self.assertEqual((line.count("\n"), line.isascii()), (1, True))
            fields = json.loads(line)
            for name in ("destination", "agent", "error", "client", "user"):
                self.assertEqual(fields[name], value)
        fields = json.loads(json_line(AT, "agent", DIAL._replace(text="x" * 100_000)))
        self.assertEqual(fields["error"], "x" * LONGEST)

    def test_time(self) -> None:
        """Each line has its own time, also within one second and in the next."""
        for at in (AT, AT + 0.5, AT + 1, AT):
            text = json.loads(json_line(at, "agent", TUNNEL))["time"]
            self.assertEqual(datetime.fromisoformat(text), datetime.fromtimestamp(at, UTC))
