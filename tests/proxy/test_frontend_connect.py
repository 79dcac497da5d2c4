"""Tests of konnect.proxy.frontend_connect: an HTTP CONNECT client in each state of its tunnel."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost

from konnect.net.sockets import DISCARD, LINGER
from konnect.proxy.frontend_connect import EARLY_LIMIT, HEAD_TIMEOUT, REFUSALS
from konnect.proxy.hold import HOLD
from konnect.wire import packets
from konnect.wire.connect import ESTABLISHED
from konnect.wire.features import Features
from tests.fakes import FakeSocket
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


class _Sockets(ProxyTestCase):
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


class AnswerTests(_Sockets):
    """Statuses and bodies are upstream's; each has a length and ends the connection."""

    TEXT = "text/plain; charset=utf-8"

    def assert_answer(self, status: str, body: str) -> None:
        """One answer, and our side closed."""
        log = self.s.take()
        self.assertEqual(answer(log), (f"HTTP/1.1 {status}", self.TEXT, body))
        self.assertEqual(log[1:], ["FIN"])

    def test_established(self) -> None:
        """Success is the bare 200 line, and counts one connection while it lasts."""
        self.open()
        self.assertEqual(self.ledger.http_connections, 1)

    def test_no_agent(self) -> None:
        """No agent is 500 in upstream's words, and is counted."""
        self.a.leaves()
        self.dial()
        self.assert_answer(
            "500 Internal Server Error", "currently no tunnels available: No agent available"
        )
        self.assertEqual(self.failures(), {"no_agent": 1})

    def test_errors_of_the_agent(self) -> None:
        """An agent's error is the whole body, and decides the status."""
        for text, status in (
            ("dial tcp 127.0.0.1:1: connect: connection refused", "502 Bad Gateway"),
            ("dial tcp: lookup nope: no such host", "502 Bad Gateway"),
            ("dial tcp 10.0.0.1:80: i/o timeout", "504 Gateway Timeout"),
            ("socket: too many open files", "503 Service Unavailable"),
            ("dial tcp: address foo: missing port in address", "502 Bad Gateway"),
            ("no route to hést {x}", "502 Bad Gateway"),
        ):
            self.s = self.connect()
            self.dial()
            self.a.refuses(text)
            self.assert_answer(status, text)
        self.assertEqual(self.failures(), {"error_response": 6})

    def test_agent_lost(self) -> None:
        """An agent that goes during the dial is 502 at once."""
        self.dial()
        self.a.leaves()
        self.assert_answer(
            "502 Bad Gateway",
            "Backend context error: context canceled:"
            " the agent's connection was lost during the dial\r\n",
        )

    def test_closed_by_the_agent(self) -> None:
        """An agent's DIAL_CLS is answered with 502 (upstream says nothing at all)."""
        self.dial()
        self.a.says(packets.dial_cls(self.a.asked()))
        self.assert_answer("502 Bad Gateway", "the agent closed the dial")

    def test_shutdown(self) -> None:
        """A proxy that is going answers 503."""
        self.switchboard.closing = True
        self.dial()
        self.assert_answer("503 Service Unavailable", "the proxy is shutting down")

    def test_nonsense(self) -> None:
        """A request that is no HTTP is answered with 400, and asks no agent."""
        self.s.deliver(b"\x00\x01\x02nonsense\r\n\r\n")
        status, _, _ = answer(self.s.take())
        self.assertEqual(status, "HTTP/1.1 400 Bad Request")
        self.assertEqual(self.a.take(), [])

    def test_address_as_it_is(self) -> None:
        """The target reaches the agent as the client wrote it."""
        for target in ("foo", "[::1]:443", "FOO:80"):
            self.s = self.connect()
            self.s.deliver(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
            self.a.accepts(address=target)
            self.close_from_agent()


class TimeoutTests(_Sockets):
    """An agent that does not answer."""

    dial_timeout = 5.0

    def test_timeout(self) -> None:
        """It is 504 in upstream's words, and the agent is told to give up."""
        self.dial()
        random = self.a.asked()
        self.clock.advance(5.1)
        status, _, body = answer(self.s.take())
        self.assertEqual(status, "HTTP/1.1 504 Gateway Timeout")
        self.assertEqual(body, "Backend dial timeout: timed out waiting for backend dial\r\n")
        self.assertEqual(self.a.take(), [("DIAL_CLS", random)])
        self.assertEqual(self.failures(), {"backend_dial_timeout": 1})


class HeadTests(_Sockets):
    """Before there is a request."""

    def test_byte_by_byte(self) -> None:
        """A head may come in any pieces."""
        for i in range(len(REQUEST)):
            self.assertEqual(self.a.take(), [])
            self.s.deliver(REQUEST[i : i + 1])
        self.a.accepts()

    def test_silence(self) -> None:
        """A client that sends no whole head in time is dropped without an answer."""
        self.s.deliver(REQUEST[:20])
        self.clock.advance(HEAD_TIMEOUT - 1)
        self.assertEqual(self.s.take(), [])
        self.clock.advance(2)
        self.assertEqual(self.s.take(), ["abort"])

    def test_no_limit_behind_the_head(self) -> None:
        """A dial may take longer than a head."""
        self.dial()
        self.clock.advance(HEAD_TIMEOUT + 1)
        self.a.accepts()
        self.assertEqual(self.s.take(), [("write", ESTABLISHED)])

    def test_leaves(self) -> None:
        """A client that goes before its request leaves nothing, however it goes."""
        self.s.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.s = self.connect()
        self.s.deliver(b"CONN")
        self.s.lose(ConnectionLost())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.s = self.connect()
        self.s.deliver_fin()
        self.assertEqual(self.s.take(), ["close"])

    def test_not_connect(self) -> None:
        """Another method is 405, and the connection can be used again."""
        self.s.deliver(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        status, _, body = answer(self.s.take())
        self.assertEqual(status, "HTTP/1.1 405 Method Not Allowed")
        self.assertEqual(body, "this proxy only supports CONNECT passthrough\n")
        self.clock.advance(HEAD_TIMEOUT - 1)
        self.open()

    def test_pipelined(self) -> None:
        """What follows a refused request in one read is read as the next request."""
        self.s.deliver(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + REQUEST)
        self.assertEqual(len(self.s.take()), 1)
        self.a.accepts()
        self.assertEqual(self.s.take(), [("write", ESTABLISHED)])

    def test_keep_alive_has_an_end(self) -> None:
        """A connection that never asks for a tunnel is closed after some answers."""
        for _ in range(REFUSALS - 1):
            self.s.deliver(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertFalse(self.s.ended)
        self.s.deliver(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(self.s.ended)
        self.s.deliver(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(len([e for e in self.s.take() if e[0] == "write"]), REFUSALS)

    def test_time_between_requests(self) -> None:
        """A connection that is kept after 405 has the same time for its next head."""
        self.s.deliver(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.s.take()
        self.clock.advance(HEAD_TIMEOUT + 1)
        self.assertEqual(self.s.take(), ["abort"])


class DialingTests(_Sockets):
    """While the agent dials."""

    def test_early_bytes(self) -> None:
        """What the client says behind its head goes out when the tunnel opens, in order."""
        self.dial(early=b"one")
        self.s.deliver(b"two")
        random = self.a.asked()
        self.a.says(packets.dial_rsp(random, connect_id=1))
        self.assertEqual(self.s.take(), [("write", ESTABLISHED)])
        self.s.deliver(b"three")
        self.assertEqual(
            self.a.take(), [("DATA", 1, b"one"), ("DATA", 1, b"two"), ("DATA", 1, b"three")]
        )

    def test_early_bytes_are_bounded(self) -> None:
        """A client that says much is read no further until the tunnel opens."""
        self.dial()
        self.s.deliver(b"x" * (EARLY_LIMIT - 1))
        self.assertTrue(self.s.reading)
        self.s.deliver(b"x")
        self.assertFalse(self.s.reading)
        self.a.accepts()
        self.assertTrue(self.s.reading)

    def test_early_bytes_into_a_full_link(self) -> None:
        """Early bytes that fill the link leave the client unread."""
        self.dial(early=b"x" * EARLY_LIMIT)
        self.a.stream.room = False
        self.a.accepts()
        self.assertFalse(self.s.reading)
        self.a.stream.room = True
        self.a.link.writable()
        self.assertTrue(self.s.reading)

    def test_leaves(self) -> None:
        """A client that goes cancels the dial; a success that crosses this is closed."""
        self.dial()
        random = self.a.asked()
        self.s.lose()
        self.assertEqual(self.a.take(), [("DIAL_CLS", random)])
        self.a.says(packets.dial_rsp(random, connect_id=1))
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.assertEqual(self.failures(), {"frontend_close": 1, "unrecognized_response": 1})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_breaks(self) -> None:
        """So does one whose connection breaks, with early bytes on it."""
        self.dial(early=b"early")
        random = self.a.asked()
        self.s.lose(ConnectionLost())
        self.assertEqual(self.a.take(), [("DIAL_CLS", random)])

    def test_fin_without_a_word(self) -> None:
        """A client that ends its side without having said anything has left."""
        self.dial()
        random = self.a.asked()
        self.s.deliver_fin()
        self.assertEqual(self.a.take(), [("DIAL_CLS", random)])
        self.assertIn("close", self.s.take())

    def test_fin_behind_early_bytes(self) -> None:
        """A client that has said all it wants to say (`nc -N`) gets its answer."""
        self.dial(early=b"question")
        self.s.deliver_fin()
        self.a.accepts()
        self.assertEqual(self.a.take(), [("DATA", 1, b"question"), ("CLOSE_REQ", 1)])
        self.a.says(packets.data(1, b"answer"))
        self.close_from_agent()
        self.clock.advance(HOLD)
        self.assertEqual(self.s.take(), [("write", ESTABLISHED), ("write", b"answer"), "close"])

    def test_fin_behind_early_bytes_and_no_end(self) -> None:
        """An agent that never ends such a tunnel is not waited for without bound."""
        self.dial(early=b"question")
        self.s.deliver_fin()
        self.a.accepts()
        self.clock.advance(LINGER + 1)
        self.assertEqual(dict(self.ledger.closed_by_reason), {"linger": 1})

    def test_fin_behind_early_bytes_and_a_refusal(self) -> None:
        """Such a client gets the error answer too."""
        self.dial(early=b"question")
        self.s.deliver_fin()
        self.a.refuses("connection refused")
        status, _, body = answer(self.s.take())
        self.assertEqual((status, body), ("HTTP/1.1 502 Bad Gateway", "connection refused"))

    def test_tls_end_behind_early_bytes(self) -> None:
        """Over TLS an end is an end: there is nobody left to answer."""
        self.s = self.connect(tls=True)
        self.dial(early=b"question")
        random = self.a.asked()
        self.s.lose()
        self.assertEqual(self.a.take(), [("DIAL_CLS", random)])

    def test_shutdown(self) -> None:
        """The proxy's own end is not told here: the dial's failure is."""
        self.dial()
        self.protocol(self.s).close("stopping")
        self.assertEqual(self.s.take(), [])
        self.a.link.shut_down()
        self.assertEqual(answer(self.s.take())[0], "HTTP/1.1 503 Service Unavailable")


class HoldTests(_Sockets):
    """No byte of the destination shares a turn, or a segment, with the 200 line."""

    def test_destination_first(self) -> None:
        """A destination's first bytes wait a moment behind the 200 line, and keep their order."""
        self.dial()
        self.a.accepts()
        self.a.says(packets.data(1, b"220 "))
        self.a.says(packets.data(1, b"ready"))
        self.assertEqual(self.s.take(), [("write", ESTABLISHED)])
        self.clock.advance(HOLD)
        self.assertEqual(self.s.take(), [("write", b"220 "), ("write", b"ready")])
        self.a.says(packets.data(1, b"!"))
        self.assertEqual(self.s.take(), [("write", b"!")])

    def test_early_bytes_show_nothing(self) -> None:
        """What the client said before the 200 line does not release what must wait behind it."""
        self.dial(early=b"early")
        self.a.accepts()
        self.a.says(packets.data(1, b"220"))
        self.assertEqual(self.s.take(), [("write", ESTABLISHED)])
        self.clock.advance(HOLD)
        self.assertEqual(self.s.take(), [("write", b"220")])

    def test_an_early_end_shows_nothing(self) -> None:
        """Neither does an end that came before it."""
        self.dial(early=b"early")
        self.s.deliver_fin()
        self.a.accepts()
        self.a.says(packets.data(1, b"220"))
        self.assertEqual(self.s.take(), [("write", ESTABLISHED)])
        self.clock.advance(HOLD)
        self.assertEqual(self.s.take(), [("write", b"220")])

    def test_the_client_speaks(self) -> None:
        """A client that speaks behind the 200 line has read it."""
        self.open()
        self.a.says(packets.data(1, b"220"))
        self.s.deliver(b"EHLO")
        self.assertEqual(self.s.take(), [("write", b"220")])

    def test_close_waits(self) -> None:
        """The end of a tunnel comes behind the held bytes."""
        self.open()
        self.a.says(packets.data(1, b"bye"))
        self.close_from_agent()
        self.assertEqual(self.s.take(), [])
        self.clock.advance(HOLD)
        self.assertEqual(self.s.take(), [("write", b"bye"), "FIN"])

    def test_close_at_once(self) -> None:
        """An end without a byte before it waits for nothing."""
        self.open()
        self.close_from_agent()
        self.assertEqual(self.s.take(), ["FIN"])

    def test_the_client_ends_meanwhile(self) -> None:
        """A client that ends its side behind the 200 line gets what is held before the close."""
        self.open()
        self.a.says(packets.data(1, b"bye"))
        self.close_from_agent()
        self.s.deliver_fin()
        self.assertEqual(self.s.take(), [("write", b"bye"), "FIN", "close"])

    def test_the_client_leaves_meanwhile(self) -> None:
        """What is held for a client that is gone is dropped."""
        self.open()
        self.a.says(packets.data(1, b"220"))
        self.s.lose()
        self.assertEqual(self.s.take(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_held_close_and_a_lost_client(self) -> None:
        """So it is when the tunnel has ended already."""
        self.open()
        self.a.says(packets.data(1, b"bye"))
        self.close_from_agent()
        self.s.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_source_stands_still(self) -> None:
        """While bytes are held their source is paused; it goes on behind the last of them."""
        self.open()
        end = self.a.link.ends[1]
        self.a.says(packets.data(1, b"a"))
        self.a.says(packets.data(1, b"b"))
        self.assertTrue(end._paused)
        self.clock.advance(HOLD)
        self.assertFalse(end._paused)

    def test_a_full_socket_behind_the_hold(self) -> None:
        """Held bytes that fill the socket leave the source paused until it has drained."""
        self.s = self.connect(limit=100)
        self.open()
        end = self.a.link.ends[1]
        self.a.says(packets.data(1, b"a" * 200))
        self.a.says(packets.data(1, b"b" * 200))
        self.clock.advance(HOLD)
        self.assertTrue(end._paused)
        self.assertEqual(self.s.take(), [("write", b"a" * 200)])
        self.s.drain()
        self.assertEqual(self.s.take(), [("write", b"b" * 200)])
        self.assertTrue(end._paused)
        self.s.drain()
        self.assertFalse(end._paused)


class RelayTests(_Sockets):
    """Bytes and back-pressure of an open tunnel."""

    def test_both_ways(self) -> None:
        """Bytes go both ways as they come."""
        self.open(spoken=b"ping")
        self.a.says(packets.data(1, b"pong"))
        self.assertEqual(self.s.take(), [("write", b"pong")])

    def test_slow_client(self) -> None:
        """A full socket stops the source; what still comes waits, and goes out as it drains."""
        self.s = self.connect(limit=10)
        self.open(spoken=b"x")
        end = self.a.link.ends[1]
        self.a.says(packets.data(1, b"a" * 11))
        self.assertTrue(end._paused)
        self.a.says(packets.data(1, b"b"))
        self.assertEqual(self.s.take(), [("write", b"a" * 11)])
        self.assertEqual(self.ledger.buffered, 1)
        self.s.drain()
        self.assertEqual(self.s.take(), [("write", b"b")])
        self.assertFalse(end._paused)

    def test_slow_client_holds_the_window(self) -> None:
        """Beyond its budget a slow client's window stays shut at a stock agent, and opens again."""
        self.s = self.connect(limit=10)
        self.open(spoken=b"x")
        self.a.stream.deliver(packets.data(1, b"a" * 11), self.flow.budget)
        self.a.stream.deliver(packets.data(1, b"b"), 5000)
        self.assertEqual(self.a.stream.owed - self.a.stream.acknowledged, 5000)
        self.s.drain()
        self.assertEqual(self.a.stream.owed, self.a.stream.acknowledged)

    def test_closed_while_slow(self) -> None:
        """What waits for a slow client is handed over before the end."""
        self.s = self.connect(limit=10)
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"a" * 11))
        self.a.says(packets.data(1, b"b"))
        self.close_from_agent()
        self.assertEqual(self.s.take(), [("write", b"a" * 11), ("write", b"b"), "FIN"])

    def test_slow_agent(self) -> None:
        """A full link leaves the client unread until it has room."""
        self.open()
        self.a.stream.room = False
        self.s.deliver(b"x")
        self.assertFalse(self.s.reading)
        self.a.stream.room = True
        self.a.link.writable()
        self.assertTrue(self.s.reading)


class EndTests(_Sockets):
    """Whoever ends first."""

    def test_client_ends(self) -> None:
        """A client's EOF is told; the destination's bytes come until the agent ends."""
        self.open(spoken=b"question")
        self.s.deliver_fin()
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.a.says(packets.data(1, b"answer"))
        self.close_from_agent()
        self.assertEqual(self.s.take(), [("write", b"answer"), "close"])
        self.s.lose()
        self.assertEqual(self.a.take(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_ends_and_the_agent_does_not(self) -> None:
        """A stock agent that does not answer CLOSE_REQ is waited for only so long."""
        self.open(spoken=b"question")
        self.s.deliver_fin()
        self.clock.advance(LINGER + 0.1)
        self.assertEqual(self.s.take(), ["close"])
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.clock.advance(LINGER + 0.1)
        self.assertEqual(self.s.take(), ["abort"])

    def test_client_leaves(self) -> None:
        """A lost client is one CLOSE_REQ, and nothing is left."""
        self.s.lose()
        for error, reason in ((None, "client_closed"), (ConnectionLost(), "client_lost")):
            with self.subTest(reason):
                self.s = self.connect()
                self.open(spoken=b"x")
                self.s.lose(error)
                self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
                self.assertEqual(self.ledger.closed_by_reason[reason], 1)
                self.assertEqual(self.clock.getDelayedCalls(), [])
                self.a.says(packets.close_rsp(1))

    def test_destination_ends(self) -> None:
        """The destination's end is our FIN; the socket goes when the client has ended too."""
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"last"))
        self.close_from_agent()
        self.assertEqual(self.s.take(), [("write", b"last"), "FIN"])
        self.s.deliver(b"late")
        self.s.deliver_fin()
        self.assertEqual(self.s.take(), ["close"])
        self.assertEqual(self.a.take(), [])

    def test_client_does_not_end(self) -> None:
        """A client that keeps its side open is dropped after the linger time, or too many bytes."""
        self.open(spoken=b"x")
        self.close_from_agent()
        self.clock.advance(LINGER + 0.1)
        self.assertEqual(self.s.take(), ["FIN", "abort"])
        self.s = self.connect()
        self.open(spoken=b"x")
        self.close_from_agent()
        self.s.deliver(b"x" * DISCARD)
        self.assertEqual(self.s.take(), ["FIN"])
        self.s.deliver(b"x")
        self.assertEqual(self.s.take(), ["abort"])

    def test_tls(self) -> None:
        """TLS has no half-close: the end is close_notify for both directions."""
        self.s = self.connect(tls=True)
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"last"))
        self.close_from_agent()
        self.assertEqual(self.s.take(), [("write", b"last"), "close"])

    def test_agent_lost(self) -> None:
        """A lost agent is a reset behind the bytes that came before."""
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"last"))
        self.a.leaves()
        self.assertEqual(self.s.take(), [("write", b"last")])
        self.s.drain()
        self.assertEqual(self.s.take(), ["abort"])

    def test_agent_lost_behind_a_client_that_does_not_read(self) -> None:
        """Bytes that nobody reads hold the reset back only so long."""
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"last"))
        self.a.leaves()
        self.clock.advance(LINGER + 0.1)
        self.assertEqual(self.s.take(), [("write", b"last"), "abort"])

    def test_data_after_the_end(self) -> None:
        """DATA for a tunnel that is over does not reach the socket."""
        self.open(spoken=b"x")
        self.close_from_agent()
        self.a.says(packets.data(1, b"late"))
        self.assertEqual(self.s.take(), ["FIN"])
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])

    def test_shutdown(self) -> None:
        """Connections without a tunnel are closed by the proxy's end, others by their links."""
        open_one, waiting = self.s, self.connect()
        self.open(spoken=b"x")
        for socket in (open_one, waiting):
            self.protocol(socket).close("stopping")
        self.assertEqual((open_one.take(), waiting.take()), ([], ["FIN"]))
        self.a.link.shut_down()
        self.assertEqual(open_one.take(), ["FIN"])

    def test_abort(self) -> None:
        """What does not end in time is dropped; what is gone cannot be."""
        protocol = self.protocol(self.s)
        protocol.abort()
        self.assertEqual(self.s.take(), ["abort"])
        protocol.abort()
        protocol.close("stopping")
        protocol.dataReceived(b"late")
        protocol.readConnectionLost()
        protocol.writeConnectionLost()
        self.assertEqual(self.s.take(), [])


class KonnectAgentTests(_Sockets):
    """An agent with half-close: both directions end on their own."""

    features = Features(credit=65536, half_close=True)

    def test_client_first(self) -> None:
        """The client's EOF is a HALF_CLOSE, and the answer may take any time."""
        self.open(spoken=b"question")
        self.s.deliver_fin()
        self.assertEqual(self.a.take(), [("HALF_CLOSE", 1)])
        self.clock.advance(10 * LINGER)
        self.a.says(packets.data(1, b"answer"))
        self.a.says(packets.close_rsp(1, "client_closed"))
        self.assertEqual(self.s.take(), [("write", b"answer"), "close"])

    def test_destination_first(self) -> None:
        """The destination's EOF is a FIN, and the client may go on."""
        self.open(spoken=b"x")
        self.a.says(packets.half_close(1))
        self.assertEqual(self.s.take(), ["FIN"])
        self.s.deliver(b"more")
        self.assertEqual(self.a.take(), [("DATA", 1, b"more")])
        self.s.deliver_fin()
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.assertEqual(self.s.take(), ["close"])

    def test_destination_first_while_held(self) -> None:
        """A FIN waits behind held bytes."""
        self.open()
        self.a.says(packets.data(1, b"bye"))
        self.a.says(packets.half_close(1))
        self.assertEqual(self.s.take(), [])
        self.clock.advance(HOLD)
        self.assertEqual(self.s.take(), [("write", b"bye"), "FIN"])

    def test_destination_first_over_tls(self) -> None:
        """A TLS client cannot be told of one direction's end: the tunnel ends."""
        self.s = self.connect(tls=True)
        self.open(spoken=b"x")
        self.a.says(packets.half_close(1))
        self.assertEqual(self.s.take(), ["close"])
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])

    def test_early_end(self) -> None:
        """An EOF behind early bytes is a HALF_CLOSE behind them, without a limit."""
        self.dial(early=b"question")
        self.s.deliver_fin()
        self.a.accepts()
        self.assertEqual(self.a.take(), [("DATA", 1, b"question"), ("HALF_CLOSE", 1)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_reset_by_the_destination(self) -> None:
        """A reset is a reset, behind all that came before."""
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"last"))
        self.a.says(packets.close_rsp(1, "destination_lost"))
        self.s.drain()
        self.assertEqual(self.s.take(), [("write", b"last"), "abort"])

    def test_reset_while_slow(self) -> None:
        """Also when some of it still waited for the socket."""
        self.s: FakeSocket = self.connect(limit=10)
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"a" * 11))
        self.a.says(packets.data(1, b"b"))
        self.a.says(packets.close_rsp(1, "destination_lost"))
        self.assertEqual(self.s.take(), [("write", b"a" * 11), ("write", b"b")])
        self.s.drain()
        self.assertEqual(self.s.take(), ["abort"])
