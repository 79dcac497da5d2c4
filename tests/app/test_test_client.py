"""Tests of konnect.app.test_client."""

from __future__ import annotations

import contextlib
import io
from typing import Any

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from konnect.app.test_client import Requests, TestClientOptions, main, make_dialer
from konnect.app.test_server import make_site
from konnect.client.connect_dial import ConnectDialer
from konnect.client.grpc_dial import GrpcDialer
from konnect.net.tls import TlsFileError
from tests.certificates import pki
from tests.functional.rig import FunctionalTestCase, ProxyRig

UDS = ("--proxy-uds=/run/k.sock", "--proxy-host=", "--proxy-port=0")


def parse(*words: str) -> TestClientOptions:
    """The options of a command line."""
    options = TestClientOptions()
    options.parseOptions(list(words))
    return options


class OptionsTests(SynchronousTestCase):
    """The command line."""

    def problem(self, *words: str) -> str:
        """What is said about a bad command line."""
        text = str(self.assertRaises(usage.UsageError, parse, *words))
        prefix = "failed to validate proxy client options, got: "
        self.assertTrue(text.startswith(prefix), text)
        return text.removeprefix(prefix)

    def test_defaults(self) -> None:
        """Upstream's flags have upstream's defaults."""
        options = parse("--ca-cert", pki().frontend_ca)
        expected = {
            "client-cert": "",
            "client-key": "",
            "request-proto": "http",
            "request-host": "localhost",
            "request-port": 8000,
            "request-path": "success",
            "proxy-host": "localhost",
            "proxy-port": 8090,
            "proxy-uds": "",
            "mode": "grpc",
            "user-agent": "test-client",
            "test-requests": 1,
            "test-delay": 0,
            "after-delay": 0,
            "close-idle-conn": True,
            "enable-http2-healthchecks": True,
            "v": 4,
        }
        self.assertEqual({name: options[name] for name in expected}, expected)

    def test_mistakes(self) -> None:
        """Each of upstream's checks complains in its words."""
        ca = f"--ca-cert={pki().frontend_ca}"
        cert = f"--client-cert={pki().frontend_client_cert}"
        key = f"--client-key={pki().frontend_client_key}"
        for words, text in (
            (["--client-key=/nowhere"], "stat /nowhere: no such file or directory"),
            ([key], "cannot have client cert empty when client key is set to"),
            ([cert], "cannot have client key empty when client cert is set to"),
            (["--ca-cert=/nowhere"], "stat /nowhere: no such file or directory"),
            ([ca, "--request-proto=ftp"], "either 'http' or 'https' not \"ftp\""),
            ([ca, "--mode=socks5"], "either 'grpc' or 'http-connect' not \"socks5\""),
            ([ca, "--request-port=49152"], "ephemeral port 49152 for the request server port"),
            ([ca, "--proxy-port=50000"], "ephemeral port 50000 for the proxy server port"),
            ([ca, "--proxy-port=80"], "reserved port 80 for the proxy server port"),
            (["--proxy-uds=/x"], 'please set proxy host to "" when using UDS'),
            (["--proxy-uds=/x", "--proxy-host="], "please set proxy server port to 0"),
            ([*UDS, ca], "please do not set cert materials when using UDS"),
            ([], "failed to load CA cert"),
            ([ca, "--test-requests=0"], "fewer than 1 test request(0)"),
            ([ca, "--test-delay=-1"], "less than a 0 second delay(-1)"),
            ([ca, "--after-delay=-2"], "less than a 0 second delay(-2)"),
            ([ca, "--request-host=a b"], "not a host to dial"),
        ):
            self.assertIn(text, self.problem(*words), words)

    def test_dialers(self) -> None:
        """The mode chooses the dialer, on TCP and on a unix socket."""
        files = pki()
        tcp = (
            f"--ca-cert={files.frontend_ca}",
            f"--client-cert={files.frontend_client_cert}",
            f"--client-key={files.frontend_client_key}",
        )
        for words in (UDS, tcp):
            for mode, kind in (("grpc", GrpcDialer), ("http-connect", ConnectDialer)):
                dialer = make_dialer(MemoryReactorClock(), parse(*words, f"--mode={mode}"))
                self.assertIsInstance(dialer, kind)

    def test_main_with_a_bad_flag(self) -> None:
        """A bad flag is one line on stderr and exit code 1."""
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            self.assertEqual(main(["--mode=socks5"]), 1)
        self.assertEqual(stderr.getvalue().count("\n"), 1)
        self.assertTrue(stderr.getvalue().startswith("Error: failed to validate"))

    def test_help(self) -> None:
        """--help shows the flags and is no failure."""
        stdout = io.StringIO()
        with contextlib.redirect_stdout(stdout):
            self.assertEqual(main(["--help"]), 0)
        self.assertIn("--test-requests", stdout.getvalue())


class RequestsTests(FunctionalTestCase):
    """Requests through a real proxy."""

    async def run_with(
        self, proxy: ProxyRig, *words: str, mode: str, stdout: io.StringIO | None = None
    ) -> tuple[list[str], str]:
        """The failures of a run over the proxy's unix socket, and what it printed."""
        path = proxy._grpc if mode == "grpc" else proxy._connect
        uds = (f"--proxy-uds={path}", "--proxy-host=", "--proxy-port=0", f"--mode={mode}")
        options = parse(*uds, "--request-host=127.0.0.1", *words)
        stdout = stdout or io.StringIO()
        dialer = make_dialer(self.reactor, options)
        with contextlib.redirect_stdout(stdout):
            failed = await Requests(self.reactor, dialer, options).run()
        return failed, stdout.getvalue()

    async def site(self) -> str:
        """A destination, as a flag."""
        endpoint: Any = TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(make_site(self.reactor))
        self._closing.append(port.stopListening)
        self.number = int(port.getHost().port)
        return f"--request-port={self.number}"

    def patch_port_check(self) -> None:
        """Ports of tests are ephemeral, which the flags refuse."""
        self.patch(TestClientOptions, "_validate", lambda options: None)

    async def test_body(self) -> None:
        """The body is printed, once for each request; from -v=4 up only."""
        self.patch_port_check()
        proxy, _ = await self.pair()
        site = await self.site()
        for mode in ("grpc", "http-connect"):
            failed, printed = await self.run_with(proxy, site, "--test-requests=3", mode=mode)
            self.assertEqual((failed, printed.count("HTML Response:\n<!DOCTYPE html>")), ([], 3))
            failed, printed = await self.run_with(proxy, site, "-v=3", mode=mode)
            self.assertEqual((failed, printed), ([], ""))

    async def test_each_request_has_its_tunnel(self) -> None:
        """No tunnel is used twice, and all are closed at the end."""
        self.patch_port_check()
        proxy, _ = await self.pair()
        site = await self.site()
        words = ("--test-requests=4", "--close-idle-conn=false")
        await self.run_with(proxy, site, *words, mode="grpc")
        self.assertEqual(proxy.service.ledger.opened, 4)

    async def test_failures(self) -> None:
        """What fails is told in upstream's words: the dial, and the answer."""
        self.patch_port_check()
        proxy, _ = await self.pair()
        site = await self.site()
        refused = "dial tcp 127.0.0.1:1: connect: connection refused"
        failed, _ = await self.run_with(proxy, "--request-port=1", mode="grpc")
        start = "failed to get dialer for client, got failed to dial request 127.0.0.1:1, got "
        self.assertEqual(failed, [start + refused])
        failed, _ = await self.run_with(proxy, "--request-port=1", mode="http-connect")
        self.assertIn(f"while dialing 127.0.0.1:1: 502 Bad Gateway: {refused}", failed[0])
        failed, _ = await self.run_with(proxy, site, "--request-path=close", mode="grpc")
        self.assertIn("failed to send request to client, got ", failed[0])

    async def test_nobody_reads(self) -> None:
        """An answer that cannot be printed ends the run with just that, however many fail so."""
        self.patch_port_check()
        proxy, _ = await self.pair()
        site = await self.site()

        class Unread(io.StringIO):
            def write(self, text: str) -> int:
                raise BrokenPipeError

        words = (site, "--test-requests=3")
        with self.assertRaises(BrokenPipeError):
            await self.run_with(proxy, *words, mode="grpc", stdout=Unread())

    async def test_no_proxy(self) -> None:
        """A proxy that is not there fails every request."""
        self.patch_port_check()
        proxy = self.proxy()
        await proxy.stop()
        failed, _ = await self.run_with(proxy, "--test-requests=2", mode="grpc")
        self.assertEqual(len(failed), 2)
        self.assertIn("failed to create tunnel", failed[0])

    def test_unreadable_certificate(self) -> None:
        """A certificate file that is none is a clear error."""
        options = parse(f"--ca-cert={__file__}")
        problem = self.assertRaises(TlsFileError, make_dialer, self.reactor, options)
        self.assertIn(__file__, str(problem))
