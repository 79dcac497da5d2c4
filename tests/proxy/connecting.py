"""A CONNECT client and an agent, for the tests of the CONNECT frontend."""

from __future__ import annotations

from typing import Any

from konnect.wire import packets
from konnect.wire.connect import ESTABLISHED
from tests.proxy.rig import ProxyTestCase

REQUEST = b"CONNECT host:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def answer(log: list[Any]) -> tuple[str, str, str]:
    """Status line, content type and body of the one answer in `log`; its length is checked."""
    (write,) = [entry for entry in log if entry[0] == "write"]
    head, _, body = write[1].decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    assert int(fields["Content-Length"]) == len(body.encode())
    return status, fields["Content-Type"], body


class ConnectTestCase(ProxyTestCase):
    """An agent and a client that has connected."""

    def setUp(self) -> None:
        super().setUp()
        self.a = self.agent()
        self.s = self.connect()

    def dial(self, early: bytes = b"") -> None:
        """The client has sent its request."""
        self.s.deliver(REQUEST + early)

    def open(self, connect_id: int = 1, spoken: bytes = b"") -> None:
        """The tunnel is open; with `spoken`, its client has sent that."""
        self.dial()
        self.a.accepts(connect_id)
        self.assertEqual(self.s.take(), [("write", ESTABLISHED)])
        if spoken:
            self.s.deliver(spoken)
            self.assertEqual(self.a.take(), [("DATA", connect_id, spoken)])

    def close_from_agent(self, connect_id: int = 1) -> None:
        """The destination has ended."""
        self.a.says(packets.close_rsp(connect_id))
