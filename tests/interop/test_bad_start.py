"""Programs that cannot start, or cannot link: what they say, and the code they exit with."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

from tests.certificates import pki
from tests.interop.pairs import Agent, InteropTestCase, Proxy
from tests.interop.processes import Program
from tests.ports import free_port


class BadStartTestCase(InteropTestCase):
    """Helpers around a program that is expected to end by itself."""

    def assert_fails(self, program: Program, *words: str) -> None:
        """The program ends with 1; each word is in its output, none of it is a traceback."""
        self.assertEqual(program.wait_exit(20), 1, program.log())
        for word in words:
            self.assertIn(word, program.log())

    def taken_port(self) -> int:
        """A port somebody listens on."""
        port = free_port()
        holder = socket.create_server(("127.0.0.1", port))
        self.addCleanup(holder.close)
        return port

    def file(self, content: str) -> str:
        path = self.directory() / "file.pem"
        path.write_text(content)
        return str(path)


class PortTests(BadStartTestCase):
    """Ports that somebody has taken."""

    def test_agent_port(self) -> None:
        """A taken agent port ends the proxy; the message names the port."""
        port = str(self.taken_port())
        self.assert_fails(self.proxy(healthy=False, agent_port=port).program, port, "in use")

    def test_frontend_port(self) -> None:
        """A taken frontend port ends the proxy, in both modes."""
        for mode in ("grpc", "http-connect"):
            port = str(self.taken_port())
            proxy = self.proxy(mode, "mtls", healthy=False, server_port=port)
            self.assert_fails(proxy.program, port, "in use")

    def test_health_port(self) -> None:
        """A taken health port costs a line; the programs work without it, as upstream's do."""
        port = self.taken_port()
        proxy = self.proxy(healthy=False, health_port=str(port))
        proxy.program.wait_for_line(f"{port}", "in use")
        agent = self.agent(proxy.agent_port, healthy=False, health_server_port=str(port))
        agent.program.wait_for_line(f"{port}", "in use")
        proxy.program.wait_for_line("agent", "connected")
        self.assertTrue(proxy.program.alive() and agent.program.alive())


class FileTests(BadStartTestCase):
    """Certificates and keys that cannot be used."""

    def assert_all_fail(self, start: Callable[[str], Program], paths: dict[str, str]) -> None:
        """What `start` makes of each path fails, names the path and says the words."""
        programs = {path: start(path) for path in paths}
        for path, words in paths.items():
            self.assert_fails(programs[path], path, words)

    def variants(self, key: str) -> dict[str, str]:
        """What may be wrong with a key file, by its path."""
        return {
            "/nowhere/at/all.key": "no such file",
            str(self.directory()): "",
            self.file(""): "",
            self.file("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n"): "",
            key: "",
        }

    def test_frontend_key(self) -> None:
        """A frontend key missing, a folder, empty, broken or another's: exit 1, file named."""
        self.assert_all_fail(
            lambda path: self.proxy("grpc", "mtls", healthy=False, server_key=path).program,
            self.variants(pki().other_client_key),
        )

    def test_cluster_key(self) -> None:
        """The same for the key that is shown to agents."""
        self.assert_all_fail(
            lambda path: self.proxy(healthy=False, cluster_key=path).program,
            self.variants(pki().agent_key),
        )

    def test_agent_key(self) -> None:
        """The same for the agent's own."""
        self.assert_all_fail(
            lambda path: self.agent(1, healthy=False, agent_key=path).program,
            self.variants(pki().other_client_key),
        )

    def test_authorities(self) -> None:
        """A CA file that is missing, empty or broken: exit 1, file named."""
        broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        paths = ["/nowhere/at/all.crt", self.file("no pem at all"), self.file(broken)]
        for start in (
            lambda path: self.proxy(healthy=False, cluster_ca_cert=path).program,
            lambda path: self.proxy("grpc", "mtls", healthy=False, server_ca_cert=path).program,
            lambda path: self.agent(1, healthy=False, ca_cert=path).program,
        ):
            self.assert_all_fail(start, dict.fromkeys(paths, ""))


class LogFileTests(BadStartTestCase):
    """`--log-file` that cannot be used. Both programs read the flag in the same way."""

    def test_cannot_be_opened(self) -> None:
        """A folder that is not there, or a file that is one: exit 1, the file named."""
        for path in ("/nowhere/at/all.log", str(self.directory())):
            agent = self.agent(1, healthy=False, logtostderr="false", log_file=path)
            self.assert_fails(agent.program, f"Error: cannot open the log file {path}: ")

    def test_full_disk(self) -> None:
        """A disk that is full costs the lines, which stderr says, and not the program."""
        proxy = self.proxy(logtostderr="false", log_file="/dev/full")
        proxy.program.wait_for_line("lines for the log file are lost", "No space left on device")
        self.agent(proxy.agent_port)
        proxy.wait_ready()


class SocketPathTests(BadStartTestCase):
    """Unix socket paths that cannot be used."""

    def start(self, mode: str, path: Path | str, **flags: str) -> Proxy:
        return self.proxy(mode, "uds", healthy=False, uds_name=str(path), **flags)

    def test_missing_directory(self) -> None:
        """A directory that is not there: exit 1, and the message names it, in both modes."""
        for mode in ("grpc", "http-connect"):
            self.assert_fails(self.start(mode, "/nowhere/at/all.sock").program, "/nowhere/at")

    def test_unwritable_directory(self) -> None:
        """A directory that takes no files: exit 1, and the message names the path."""
        # /proc refuses root as well.
        self.assert_fails(self.start("grpc", "/proc/konnect.sock").program, "/proc/konnect.sock")

    def test_path_is_too_long(self) -> None:
        """A path over 107 bytes: exit 1, and the message says how long it may be."""
        path = self.directory() / ("x" * 120)
        self.assert_fails(self.start("grpc", path).program, str(path), "107")

    def test_existing_socket(self) -> None:
        """An existing socket is removed; --delete-existing-uds-file=false makes it fatal."""
        path = self.directory() / "old.sock"
        with socket.socket(socket.AF_UNIX) as old:
            old.bind(str(path))
        refused = self.start("grpc", path, delete_existing_uds_file="false")
        self.assert_fails(refused.program, str(path))
        self.assertTrue(path.is_socket())
        proxy = self.start("grpc", path)
        proxy.program.wait_ready(proxy.health_port, "/healthz")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))

    def test_existing_file(self) -> None:
        """A file that is no socket is never removed: exit 1, and the message names it."""
        path = self.directory() / "precious"
        path.write_text("do not delete")
        self.assert_fails(self.start("grpc", path).program, str(path))
        self.assertEqual(path.read_text(), "do not delete")

    def test_mode_and_removal(self) -> None:
        """The socket's mode is 0770, and a clean stop removes it."""
        proxy = self.proxy()
        self.assertEqual(os.stat(proxy.uds).st_mode & 0o7777, 0o770)
        self.assertEqual(proxy.program.end(), 0)
        self.assertFalse(os.path.exists(proxy.uds))


class FlagTests(BadStartTestCase):
    """Flags that contradict each other, or are none."""

    def test_messages(self) -> None:
        """Wrong flags end the start with upstream's message."""
        for program, message in (
            (
                self.proxy(healthy=False, server_port="8090").program,
                "server port should be set to 0 not 8090 for UDS",
            ),
            (
                self.proxy(healthy=False, mode="socks").program,
                "mode must be set to either 'grpc' or 'http-connect' not \"socks\"",
            ),
            (
                self.agent(1, healthy=False, sync_interval="20s").program,
                "sync interval 20s must be less than sync interval cap 500ms",
            ),
        ):
            self.assert_fails(program, message)
        self.assertNotEqual(self.proxy(healthy=False, no_such_flag="x").program.wait_exit(), 0)


class AgentLinkTests(BadStartTestCase):
    """Agents that reach something, but not a proxy that takes them: they say why, and try on."""

    def assert_says(self, agent: Agent, port: int, *words: str) -> None:
        """A line names the peer and the reason; the agent lives and is not ready."""
        agent.program.wait_for_line(f"127.0.0.1:{port}", *words)
        self.assertTrue(agent.program.alive())
        self.assertFalse(agent.ready())

    def test_wrong_authority(self) -> None:
        """A proxy whose authority the agent does not trust."""
        proxy = self.pair("grpc", "uds").proxy
        agent = self.agent(proxy.agent_port, healthy=False, ca_cert=pki().other_ca)
        self.assert_says(agent, proxy.agent_port, "unknown certificate authority")

    def test_no_certificate(self) -> None:
        """A proxy that demands a certificate of an agent that has none."""
        proxy = self.pair("grpc", "uds").proxy
        agent = self.agent(proxy.agent_port, healthy=False, agent_cert="", agent_key="")
        self.assert_says(agent, proxy.agent_port, "certificate")

    def test_expired_certificate(self) -> None:
        """An agent whose own certificate has expired hears it from the proxy, which names it."""
        files = pki()
        proxy = self.pair("grpc", "uds").proxy
        since = proxy.program.log_size()
        agent = self.agent(
            proxy.agent_port,
            healthy=False,
            agent_cert=files.expired_agent_cert,
            agent_key=files.expired_agent_key,
        )
        self.assert_says(agent, proxy.agent_port, "expired")
        proxy.program.wait_for_line("CN=expired-agent", "expired", since=since)

    def test_expired_proxy(self) -> None:
        """A proxy whose certificate has expired."""
        files = pki()
        proxy = self.proxy(
            cluster_cert=files.expired_agent_server_cert,
            cluster_key=files.expired_agent_server_key,
        )
        agent = self.agent(proxy.agent_port, healthy=False)
        self.assert_says(agent, proxy.agent_port, "expired")

    def test_name_of_the_proxy(self) -> None:
        """A proxy whose certificate is for another name."""
        files = pki()
        proxy = self.proxy(
            cluster_cert=files.misnamed_server_cert, cluster_key=files.misnamed_server_key
        )
        agent = self.agent(proxy.agent_port, healthy=False, ca_cert=files.frontend_ca)
        self.assert_says(agent, proxy.agent_port, "elsewhere.example")

    def test_no_tls(self) -> None:
        """A port that speaks, but no TLS."""
        port = self.destination.ports["banner"]
        self.assert_says(self.agent(port, healthy=False), port, "TLS")

    def test_no_http_2(self) -> None:
        """A TLS server that chooses no ALPN protocol: h2 is required."""
        files = pki()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.agent_server_cert, files.agent_server_key)
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        threading.Thread(target=_accept, args=(listener, context), daemon=True).start()
        port = listener.getsockname()[1]
        self.assert_says(self.agent(port, healthy=False), port, "ALPN")

    def test_nobody_there(self) -> None:
        """A port nobody listens on."""
        port = free_port()
        self.assert_says(self.agent(port, healthy=False), port, "refused")


def _accept(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Complete handshakes and wait for the other side to leave, until the listener is closed."""
    while True:
        try:
            with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                connection.settimeout(10)
                connection.recv(65536)
        except ssl.SSLError:
            continue
        except OSError:
            return
