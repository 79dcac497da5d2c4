"""A proxy whose stderr nobody reads, as a process: it serves on, and ends when it is told to."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import socket
import time
import tty

from tests.interop import processes
from tests.interop.connecting import ConnectClient
from tests.interop.pairs import InteropTestCase, Proxy, arguments, proxy_flags
from tests.interop.processes import STAINS, Program

DESTINATION = f"{'x' * 250}.example:80"
"""One whose lines are long."""

LOST = re.compile(rb"(\d+) log lines were lost: nobody read stderr")


class UnreadStderrTests(InteropTestCase):
    """The proxy has no agent at first: each request fails and is a line."""

    def start(self, stderr: int) -> Proxy:
        """A proxy with this for its stderr, which is closed here."""
        directory = self.directory()
        flags = proxy_flags(directory, "http-connect", "uds")
        flags |= {"v": "9", "shutdown-delay": "0s"}
        command = [*processes.PROXY, *arguments(flags)]
        program = Program("proxy", command, directory, stderr=stderr)
        os.close(stderr)
        self.addCleanup(self._finish, program)
        program.wait_ready(int(flags["health-port"]), "/healthz")
        ports = (int(flags[name]) for name in ("server-port", "agent-port", "health-port"))
        return Proxy(program, "http-connect", flags["uds-name"], *ports)

    def pipe(self) -> int:
        """A small pipe: its writing end. The other one is `reader`."""
        self.reader, writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        return writer

    def socket(self) -> int:
        """A stream socket, as systemd gives."""
        reader, writer = socket.socketpair()
        self.addCleanup(reader.close)
        self.reader = reader.fileno()
        return writer.detach()

    def terminal(self) -> int:
        """A terminal that leaves line feeds alone."""
        self.reader, terminal = os.openpty()
        self.addCleanup(os.close, self.reader)
        tty.setraw(terminal)
        return terminal

    def lost(self, proxy: Proxy) -> int:
        """What the metric says."""
        text = processes.http_get(proxy.health_port, "/metrics")[1]
        found = re.search(r'^konnect_log_lines_lost_total{where="stderr"} (\d+)', text, re.M)
        assert found is not None, text
        return int(found[1])

    def fill(self, proxy: Proxy) -> None:
        """Fail dials until lines are lost."""
        for _ in range(40):
            for _ in range(100):
                client = ConnectClient(self, proxy, DESTINATION)
                self.assertEqual(client.response().status, 500)
                client.close()
            if self.lost(proxy):
                return
        raise AssertionError("no line was lost")

    def read_until(self, wanted: re.Pattern[bytes]) -> bytes:
        """What stderr holds up to this and its line's end."""
        text = b""
        deadline = time.monotonic() + 30
        while (found := wanted.search(text)) is None or b"\n" not in text[found.end() :]:
            if not select.select([self.reader], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{wanted.pattern!r} does not come:\n{text[-3000:].decode()}")
            text += os.read(self.reader, 65536)
        return text

    def serve_unread(self, stderr: int) -> None:
        proxy = self.start(stderr)
        self.fill(proxy)
        self.agent(proxy.agent_port)
        proxy.wait_ready()
        open_one = ConnectClient(self, proxy, self.destination["echo"])
        self.assertEqual(open_one.response().status, 200)
        for _ in range(100):
            client = ConnectClient(self, proxy, self.destination["echo"])
            self.assertEqual(client.response().status, 200)
            client.send(b"here")
            self.assertEqual(client.receive(4), b"here")
            client.close()
            self.assertEqual(processes.http_get(proxy.health_port, "/healthz"), (200, "ok"))
        open_one.send(b"still there")
        self.assertEqual(open_one.receive(11), b"still there")

        text = self.read_until(LOST)
        found = LOST.search(text)
        assert found is not None
        self.assertEqual(int(found[1]), self.lost(proxy))
        failed = text.count(b"dial failed: ")
        self.assertGreater(failed, 100)
        # Nothing but whole lines came, each of a dial behind the last that waited.
        for line in text.splitlines()[-failed:-1]:
            self.assertTrue(re.fullmatch(rb"\S+ \[konnect\.\S+#\w+\] .+", line), line)
        open_one.close()
        text += self.read_until(re.compile(rb"tunnel ended: .*to_destination=11 "))
        for stain in STAINS:
            self.assertNotIn(stain.encode(), text)

    def test_pipe(self) -> None:
        """With a full pipe for stderr, tunnels and probes are served; read again, it tells how many
        lines were lost, and the log goes on."""
        self.serve_unread(self.pipe())

    def test_socket(self) -> None:
        """The same with a socket."""
        self.serve_unread(self.socket())

    def test_terminal(self) -> None:
        """The same with a terminal that has stopped."""
        self.serve_unread(self.terminal())

    def test_stop(self) -> None:
        """SIGTERM ends the program in order while nobody reads."""
        proxy = self.start(self.pipe())
        self.fill(proxy)
        proxy.program.signal(signal.SIGTERM)
        self.assertEqual(proxy.program.wait_exit(20), 0)

    def test_stop_with_a_slow_reader(self) -> None:
        """Who reads a little late has the last line nevertheless."""
        proxy = self.start(self.pipe())
        text = self.read_until(re.compile(rb"listening"))
        for _ in range(50):
            client = ConnectClient(self, proxy, DESTINATION)
            self.assertEqual(client.response().status, 500)
            client.close()
        proxy.program.signal(signal.SIGTERM)
        text += self.read_until(re.compile(rb"Server Shut Down\."))
        self.assertEqual(text.count(b"dial failed: "), 50)
        self.assertEqual(proxy.program.wait_exit(20), 0)

    def test_bad_start(self) -> None:
        """A program that cannot start ends, whether or not it can say why."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        directory = self.directory()
        flags = proxy_flags(directory, "http-connect", "uds")
        flags |= {"agent-port": str(taken.getsockname()[1])}
        stderr = self.pipe()
        os.set_blocking(stderr, False)
        os.write(stderr, b"x" * 4096)
        os.set_blocking(stderr, True)
        program = Program("proxy", [*processes.PROXY, *arguments(flags)], directory, stderr=stderr)
        self.addCleanup(self._finish, program)
        self.assertEqual(program.wait_exit(20), 1)
        os.close(stderr)
