"""Tests of konnect.proxy.frontend_connect: from a connection to its answer."""

from __future__ import annotations

from twisted.internet.error import ConnectionLost

from konnect.net import sockets
from konnect.net.floods import DEFAULT
from konnect.net.sockets import LINGER, WATCH
from konnect.proxy import frontend_connect
from konnect.proxy.connect_end import EARLY_LIMIT
from konnect.proxy.frontend_connect import REFUSALS
from konnect.proxy.hold import HOLD
from konnect.wire import packets
from konnect.wire.connect import ESTABLISHED
from tests.proxy.connecting import REQUEST, ConnectTestCase, answer


class AnswerTests(ConnectTestCase):
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


class TimeoutTests(ConnectTestCase):
    """An agent that does not answer."""

    dial_timeout = 5.0

    def test_timeout(self) -> None:
        """It is 504 in upstream's words, and the agent is told to give up."""
        self.dial()
        random = self.a.asked()
        self.wait(5.1)
        status, _, body = answer(self.s.take())
        self.assertEqual(status, "HTTP/1.1 504 Gateway Timeout")
        self.assertEqual(body, "Backend dial timeout: timed out waiting for backend dial\r\n")
        self.assertEqual(self.a.answers_probe(), [("DIAL_CLS", random)])
        self.assertEqual(self.failures(), {"backend_dial_timeout": 1})


class HeadTests(ConnectTestCase):
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
        self.clock.advance(DEFAULT.head_timeout - 1)
        self.assertEqual(self.s.take(), [])
        self.clock.advance(2)
        self.assertEqual(self.s.take(), ["abort"])

    def test_too_many_ask_for_nothing(self) -> None:
        """The one that has been silent longest goes, once; who has asked for a tunnel stays."""
        self.factory.most_idle = 2
        self.dial()
        silent = [self.connect() for _ in range(3)]
        self.assertEqual([s.take() for s in silent], [["abort"], [], []])
        self.assertEqual(dict(self.ledger.cut), {"crowded_out": 1})
        self.clock.advance(DEFAULT.head_timeout + 1)
        self.assertEqual([s.take() for s in silent], [[], ["abort"], ["abort"]])
        self.a.accepts()
        self.assertEqual(self.s.take(), [("write", ESTABLISHED)])

    def test_no_limit_behind_the_head(self) -> None:
        """A dial may take longer than a head."""
        self.dial()
        self.clock.advance(DEFAULT.head_timeout + 1)
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

    def test_fin_within_the_head(self) -> None:
        """A client that ends its side within its request is told so; one that is gone is not."""
        self.s.deliver(b"CONNECT host:80 HTTP/1.1\r\n")
        self.s.deliver_fin()
        log = self.s.take()
        self.assertEqual(
            answer(log)[::2],
            (
                "HTTP/1.1 400 Bad Request",
                "400 Bad Request: the request ended within its head\n",
            ),
        )
        self.assertEqual(log[-1], "close")
        self.assertEqual(dict(self.ledger.cut), {"bad_request": 1})
        self.s = self.connect(unix=True)
        self.s.deliver(b"CONNECT host:80 HTTP/1.1\r\n")
        self.patch(frontend_connect, "hung_up", lambda transport: True)
        self.s.deliver_fin()
        self.assertEqual(self.s.take(), ["close"])

    def test_line_feeds(self) -> None:
        """A head of lines with LF alone ends with its empty line; what follows is the tunnel's."""
        self.s.deliver(b"CONNECT host:80 HTTP/1.1\nHost: host:80\n\n\n\r\nearly")
        self.a.accepts()
        self.assertEqual(self.a.take(), [("DATA", 1, b"\n\r\nearly")])

    def test_not_connect(self) -> None:
        """Another method is 405, and the connection can be used again."""
        self.s.deliver(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        status, _, body = answer(self.s.take())
        self.assertEqual(status, "HTTP/1.1 405 Method Not Allowed")
        self.assertEqual(body, "this proxy only supports CONNECT passthrough\n")
        self.clock.advance(DEFAULT.head_timeout - 1)
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
        *others, last = [entry[1] for entry in self.s.take() if entry[0] == "write"]
        self.assertEqual(len(others), REFUSALS - 1)
        self.assertFalse(any(b"Connection: close" in answer for answer in others))
        self.assertIn(b"\r\nConnection: close\r\n\r\n", last)

    def test_time_between_requests(self) -> None:
        """A connection that is kept after 405 has the same time for its next head."""
        self.s.deliver(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.s.take()
        self.clock.advance(DEFAULT.head_timeout + 1)
        self.assertEqual(self.s.take(), ["abort"])


class DialingTests(ConnectTestCase):
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
        """Over TCP a client that ends its side without having said anything has left."""
        self.dial()
        random = self.a.asked()
        self.s.deliver_fin()
        self.assertEqual(self.a.take(), [("DIAL_CLS", random)])
        self.assertIn("close", self.s.take())

    def test_fin_without_a_word_on_a_unix_socket(self) -> None:
        """There a client that has left looks different: this one waits for its answer."""
        self.s = self.connect(unix=True)
        self.dial()
        self.s.deliver_fin()
        self.a.refuses("connection refused")
        log = self.s.take()
        self.assertEqual(answer(log)[0], "HTTP/1.1 502 Bad Gateway")
        self.assertEqual(log[-1], "close")
        self.s = self.connect(unix=True)
        self.dial()
        self.s.deliver_fin()
        self.a.accepts()
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.a.says(packets.data(1, b"banner"))
        self.close_from_agent()
        self.clock.advance(HOLD)
        self.assertEqual(self.s.take(), [("write", ESTABLISHED), ("write", b"banner"), "close"])

    def test_gone_from_a_unix_socket(self) -> None:
        """One that has left cancels its dial, at once or when it is found out."""
        self.s = self.connect(unix=True)
        self.dial()
        random = self.a.asked()
        self.s.deliver_fin()
        self.patch(sockets, "hung_up", lambda transport: True)
        self.clock.advance(WATCH)
        self.assertEqual(self.a.take(), [("DIAL_CLS", random)])
        self.patch(frontend_connect, "hung_up", lambda transport: True)
        self.s = self.connect(unix=True)
        self.dial()
        random = self.a.asked()
        self.s.deliver_fin()
        self.assertEqual(self.a.take(), [("DIAL_CLS", random)])

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
        log = self.s.take()
        status, _, body = answer(log)
        self.assertEqual((status, body), ("HTTP/1.1 502 Bad Gateway", "connection refused"))
        self.assertEqual(log[-1], "close", "both sides have ended: nothing is waited for")

    def test_fin_behind_early_bytes_and_a_reset(self) -> None:
        """Such a client that is gone altogether during the dial has left."""
        self.dial(early=b"question")
        random = self.a.asked()
        self.s.deliver_fin()
        self.clock.advance(WATCH)
        self.assertEqual(self.a.take(), [])
        self.patch(sockets, "broken", lambda transport: True)
        self.clock.advance(WATCH)
        self.assertEqual(self.a.take(), [("DIAL_CLS", random)])

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
