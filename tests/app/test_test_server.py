"""Tests of konnect.app.test_server."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent, FileBodyProducer, readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH

import konnect
from konnect.app import test_server
from konnect.app.test_server import PATTERN, make_site, serve

ROOT = Path(konnect.__file__).parent.parent


def expected(count: int) -> bytes:
    """What ``/bytes?n=count`` sends."""
    return (PATTERN * (count // len(PATTERN) + 1))[:count]


class PagesTests(SynchronousTestCase):
    """The pages, without a network."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.site = make_site(self.clock)
        self.site.startFactory()
        self.addCleanup(self.site.stopFactory)

    def ask(self, *lines: bytes, body: bytes = b"") -> StringTransport:
        """Send a request; the transport holds the answer."""
        transport = StringTransport()
        channel: Any = self.site.buildProtocol(None)
        channel.makeConnection(transport)
        self.addCleanup(channel.connectionLost, Failure(ProcessDone(0)))
        request = [*lines, b"Host: test", b"Content-Length: %d" % len(body), b"", body]
        channel.dataReceived(b"\r\n".join(request))
        self.channel = channel
        return transport

    def status(self, transport: StringTransport) -> int:
        return int(transport.value().split()[1])

    def test_success(self) -> None:
        """/success is an HTML page for any method."""
        for method in (b"GET", b"POST", b"DELETE"):
            answer = self.ask(method + b" /success HTTP/1.1")
            self.assertEqual(self.status(answer), 200)
            self.assertIn(b"\r\nContent-Type: text/html", answer.value())
            self.assertIn(b"<title>Success</title>", answer.value())

    def test_error(self) -> None:
        """/error is a 500 with its name as the text."""
        answer = self.ask(b"GET /error HTTP/1.1")
        self.assertEqual(self.status(answer), 500)
        self.assertTrue(answer.value().endswith(b"\r\n\r\nInternal Server Error\n"))

    def test_unknown_page(self) -> None:
        """Anything else is a 404."""
        self.assertEqual(self.status(self.ask(b"GET /nothing HTTP/1.1")), 404)
        self.assertEqual(self.status(self.ask(b"GET / HTTP/1.1")), 404)

    def test_close(self) -> None:
        """/close hangs up without an answer."""
        answer = self.ask(b"GET /close HTTP/1.1")
        self.assertEqual(answer.value(), b"")
        self.assertTrue(answer.disconnecting)

    def test_sleep(self) -> None:
        """/sleep answers with the success page after so many seconds, or after ten."""
        for query, seconds in ((b"?time=3", 3), (b"", 10), (b"?time=x", 10), (b"?time=0", 0)):
            answer = self.ask(b"GET /sleep" + query + b" HTTP/1.1")
            if seconds:
                self.clock.advance(seconds - 0.5)
            self.assertEqual(answer.value(), b"")
            self.clock.advance(0.5)
            self.assertIn(b"<title>Success</title>", answer.value())

    def test_sleep_has_bounds(self) -> None:
        """A time below zero is none, and one beyond all reason is a day."""
        answer = self.ask(b"GET /sleep?time=-5 HTTP/1.1")
        self.clock.advance(0)
        self.assertEqual(self.status(answer), 200)
        answer = self.ask(b"GET /sleep?time=1" + b"0" * 400 + b" HTTP/1.1")
        self.clock.advance(24 * 3600)
        self.assertEqual(self.status(answer), 200)

    def test_client_that_leaves_a_sleep(self) -> None:
        """When the client leaves, the sleep is over."""
        before = len(self.clock.getDelayedCalls())
        self.ask(b"GET /sleep?time=3 HTTP/1.1")
        self.channel.connectionLost(Failure(ProcessDone(0)))
        self.assertEqual(len(self.clock.getDelayedCalls()), before)

    def test_sha256(self) -> None:
        """POST /sha256 answers with the digest and the count of the body, a form's too."""
        for body in (b"", b"a=1&b=2", os.urandom(300_000)):
            for kind in (b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"):
                answer = self.ask(b"POST /sha256 HTTP/1.1", b"Content-Type: " + kind, body=body)
                line = f"{hashlib.sha256(body).hexdigest()} {len(body)}\n".encode()
                self.assertTrue(answer.value().endswith(b"\r\n\r\n" + line), answer.value())

    def test_sha256_keeps_nothing(self) -> None:
        """A body is not kept while it comes in."""
        self.ask(b"POST /sha256 HTTP/1.1", b"X: y", body=b"part")
        channel: Any = self.site.buildProtocol(None)
        channel.makeConnection(StringTransport())
        self.addCleanup(channel.connectionLost, Failure(ProcessDone(0)))
        channel.dataReceived(b"POST /sha256 HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n")
        channel.dataReceived(b"x" * 500_000)
        (request,) = channel._channel.requests
        self.assertEqual(request.content.tell(), 500_000)
        self.assertEqual(request.content.getvalue(), b"")

    def test_sha256_is_for_posting(self) -> None:
        """GET /sha256 is a 405."""
        self.assertEqual(self.status(self.ask(b"GET /sha256 HTTP/1.1")), 405)

    def test_bytes_none(self) -> None:
        """/bytes without a count sends none."""
        for query in (b"", b"?n=0", b"?n=-1", b"?n=x"):
            answer = self.ask(b"GET /bytes" + query + b" HTTP/1.1")
            self.assertIn(b"\r\nContent-Length: 0\r\n", answer.value())

    def test_bytes_writes_when_asked(self) -> None:
        """Each turn of the producer writes one piece, and the last one ends the answer."""
        written: list[bytes] = []
        ends: list[str] = []

        class Consumer:
            def write(self, data: bytes) -> None:
                written.append(data)

            def unregisterProducer(self) -> None:
                ends.append("unregistered")

            def finish(self) -> None:
                ends.append("finished")

        request: Any = Consumer()
        producer = test_server._Repeater(request, 2 * len(PATTERN) + 1)
        for turn in range(3):
            self.assertEqual((len(written), ends), (turn, []))
            producer.resumeProducing()
        self.assertEqual(b"".join(written), expected(2 * len(PATTERN) + 1))
        self.assertEqual(ends, ["unregistered", "finished"])


class LoopbackTests(TestCase):
    """The pages over real sockets."""

    async def start(self) -> tuple[Any, str]:
        """An HTTP client, and the server's address."""
        from twisted.internet import reactor

        port = await serve(reactor, 0)
        self.addCleanup(port.stopListening)
        address: Any = port.getHost()
        self.assertEqual(address.host, "127.0.0.1")
        return Agent(reactor), f"http://127.0.0.1:{address.port}"

    async def taken_port(self) -> int:
        """The number of a port that a test server listens on."""
        from twisted.internet import reactor

        port = await serve(reactor, 0)
        self.addCleanup(port.stopListening)
        address: Any = port.getHost()
        number: int = address.port
        return number

    async def test_bytes(self) -> None:
        """/bytes sends exactly so many, with their Content-Length, for HEAD without them."""
        agent, server = await self.start()
        for count in (1, len(PATTERN), 3_000_001):
            response = await agent.request(b"GET", f"{server}/bytes?n={count}".encode())
            self.assertEqual(response.length, count)
            self.assertEqual(await readBody(response), expected(count))
        response = await agent.request(b"HEAD", f"{server}/bytes?n=5".encode())
        self.assertEqual(response.headers.getRawHeaders(b"Content-Length"), [b"5"])

    async def test_sha256_of_chunks(self) -> None:
        """A body without a Content-Length is digested as well."""
        agent, server = await self.start()
        body = os.urandom(1_000_000)
        producer: Any = FileBodyProducer(io.BytesIO(body))
        producer.length = UNKNOWN_LENGTH
        response = await agent.request(b"POST", f"{server}/sha256".encode(), Headers(), producer)
        digest = hashlib.sha256(body).hexdigest()
        self.assertEqual(await readBody(response), f"{digest} 1000000\n".encode())

    async def test_address(self) -> None:
        """It listens on the address that it is told, of either kind."""
        clock = MemoryReactorClock()
        for host in ("0.0.0.0", "::"):
            await serve(clock, 8000, host)
            self.assertEqual(clock.tcpServers.pop()[3], host)

    async def test_taken_port(self) -> None:
        """A port that is taken is an error of its own kind."""
        from twisted.internet import reactor

        with self.assertRaises(CannotListenError):
            await serve(reactor, await self.taken_port())

    async def test_command_with_a_taken_port(self) -> None:
        """``konnect test-server`` says in one line that its port is taken, and exits 1."""
        from twisted.internet import reactor

        number = await self.taken_port()
        code = (
            "import sys; from konnect.app import test_server;"
            "test_server.TestServerOptions.postOptions = lambda self: None;"
            f"sys.exit(test_server.main(['--server-port={number}']))"
        )
        process = _Finished()
        reactor.spawnProcess(
            process,
            sys.executable,
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        exit_code = await process.done
        self.assertEqual(exit_code, 1)
        self.assertEqual(
            process.err.decode(),
            f"konnect test-server: cannot listen on 127.0.0.1:{number}: address already in use;"
            " choose another --server-port\n",
        )


class _Finished(ProcessProtocol):
    """A process until its end."""

    def __init__(self) -> None:
        self.err = b""
        self.done: Deferred[int | None] = Deferred()

    def errReceived(self, data: bytes) -> None:
        self.err += data

    def processEnded(self, reason: Failure) -> None:
        self.done.callback(getattr(reason.value, "exitCode", None))


class OptionsTests(SynchronousTestCase):
    """The command line, up to the point where it would listen."""

    def refused(self, *argv: str) -> str:
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            self.assertEqual(test_server.main(argv), 1)
        return err.getvalue()

    def test_ports(self) -> None:
        """Ports are refused as upstream refuses them."""
        for port, kind in (("49152", "ephemeral"), ("1023", "reserved"), ("0", "reserved")):
            self.assertEqual(
                self.refused("--server-port", port),
                "Error: failed to validate server options with please do not try to use"
                f" {kind} port {port} for the server port\n",
            )

    def test_addresses(self) -> None:
        """It listens on 127.0.0.1 unless told otherwise; only an address is one."""
        for argv, wanted in (([], "127.0.0.1"), (["--server-bind-address=::"], "::")):
            options = test_server.TestServerOptions()
            options.parseOptions(argv)
            self.assertEqual(options["server-bind-address"], wanted)
        for wrong in ("", "localhost", "127.0.0.1:8000"):
            self.assertEqual(
                self.refused(f"--server-bind-address={wrong}"),
                f'Error: invalid value "{wrong}" for --server-bind-address: not an IP address\n',
            )

    def test_unknown_flag(self) -> None:
        """An unknown flag is refused."""
        self.assertIn("unknown flag: --nonsense", self.refused("--nonsense"))

    def test_defaults_and_klog_flags(self) -> None:
        """Port 8000 is the default, and klog's flags are accepted."""
        options = test_server.TestServerOptions()
        options.parseOptions(["--logtostderr=true", "-v=2"])
        self.assertEqual(options["server-port"], 8000)

    def test_help(self) -> None:
        """--help goes to stdout and exits 0."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(test_server.main(["--help"]), 0)
        self.assertIn("Usage: konnect test-server [flags]", out.getvalue())
        self.assertIn("--server-port", out.getvalue())
