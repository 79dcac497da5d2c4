"""The proxy of deploy/systemd as systemd starts it: with sockets that somebody else holds."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace

from OpenSSL import SSL

from tests.certificates import pki
from tests.deploy.test_systemd import command
from tests.interop.connecting import ConnectClient
from tests.interop.pairs import InteropTestCase, Proxy
from tests.interop.processes import RUN_TWISTD, Program
from tests.ports import free_port

ACTIVATE = f"""
import fcntl, os, sys
names = sys.argv[1].split(":")
high = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[2:2 + len(names)]]
for wanted, number in enumerate(high, 3):
    os.dup2(number, wanted)
    os.close(number)
os.environ |= dict(
    LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=sys.argv[1]
)
del sys.argv[1:2 + len(names)]
{RUN_TWISTD}
"""
"""As systemd: descriptors from 3 on, named in their order, for this process only."""

CONNECT = "connect=systemd:domain=UNIX:name=connect"
TLS = r"connect=mtls:on=systemd\:domain=INET6\:name=tls"


class ActivationTests(InteropTestCase):
    """A proxy on stock transports."""

    transport = "stock"

    def setUp(self) -> None:
        """The unit's own command line, and two frontends for CONNECT beside it."""
        super().setUp()
        self.folder = self.directory()
        self.sockets = {
            "grpc": self.held(socket.AF_UNIX, str(self.folder / "grpc.sock")),
            "agents": self.held(socket.AF_INET6, ("::", 0)),
            "connect": self.held(socket.AF_UNIX, str(self.folder / "connect.sock")),
            "tls": self.held(socket.AF_INET6, ("::", 0)),
        }
        self.program, health = self.activated()
        self.served = Proxy(
            self.program,
            "http-connect",
            uds=str(self.folder / "connect.sock"),
            port=self.port("tls"),
            agent_port=self.port("agents"),
            health_port=health,
        )

    def port(self, name: str) -> int:
        """What one of the sockets is bound to."""
        return int(self.sockets[name].getsockname()[1])

    def held(self, family: int, address: object) -> socket.socket:
        """A socket that listens, as systemd's."""
        sock = socket.socket(family)
        self.addCleanup(sock.close)
        sock.bind(address)  # type: ignore[arg-type]
        sock.listen()
        sock.settimeout(10)
        return sock

    def activated(self) -> tuple[Program, int]:
        """The proxy's process, and its health port."""
        files = pki()
        places = {
            "/etc/konnect/agent/proxy.crt": files.agent_server_cert,
            "/etc/konnect/agent/proxy.key": files.agent_server_key,
            "/etc/konnect/agent/ca.crt": files.agent_ca,
        }
        words = command("konnect-proxy.service")[1:]
        for place, file in places.items():
            words = [word.replace(place, file) for word in words]
        health = free_port()
        words += [
            f"--frontend={CONNECT}",
            f"--frontend={TLS}:cert={files.frontend_cert}:key={files.frontend_key}"
            f":ca={files.frontend_ca}:alpn=http/1.1",
            f"--health-port={health}",
            f"--admin-port={free_port()}",
            f"--transport={self.transport}",
            "--graceful-shutdown-timeout=0s",
        ]
        given = [str(sock.fileno()) for sock in self.sockets.values()]
        program = Program(
            "proxy",
            [sys.executable, "-c", ACTIVATE, ":".join(self.sockets), *given, *words],
            self.folder,
            pass_fds=[int(number) for number in given],
        )
        self.addCleanup(self._finish, program)
        return program, health

    def test_serves(self) -> None:
        """Agents come in with TLS, and clients of every kind come through to a destination."""
        self.agent(self.served.agent_port, healthy=False)
        self.served.wait_ready()
        host, _, port = self.destination["http"].partition(":")
        asked = subprocess.run(
            [
                *(sys.executable, "-m", "konnect.app.cli", "test-client"),
                *("--proxy-host=", "--proxy-port=0", f"--proxy-uds={self.folder}/grpc.sock"),
                *(f"--request-host={host}", f"--request-port={port}"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual((asked.returncode, asked.stderr), (0, ""))
        self.assertIn("hello through the tunnel", asked.stdout)
        for proxy in (self.served, replace(self.served, uds="")):
            client = ConnectClient(self, proxy, self.destination["echo"])
            self.assertEqual(client.response().status, 200)
            client.send(b"and back")
            self.assertEqual(client.receive(8), b"and back")
            client.close()

    def test_stop(self) -> None:
        """Behind its end every socket is where it was, and holds who connects for the next one."""
        self.program.wait_ready(self.served.health_port, "/healthz")
        self.assertEqual(self.program.end(), 0)
        for sock in self.sockets.values():
            with socket.socket(sock.family) as client:
                client.settimeout(10)
                client.connect(sock.getsockname())
                sock.accept()[0].close()


class HubActivationTests(ActivationTests):
    """A proxy on the hub."""

    transport = "hub"

    def test_half_close(self) -> None:
        """On a given socket too, a client's close_notify ends its own direction and no more."""
        self.agent(self.served.agent_port, healthy=False)
        self.served.wait_ready()
        files = pki()
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.use_certificate_file(files.frontend_client_cert)
        context.use_privatekey_file(files.frontend_client_key)
        with socket.socket(socket.AF_INET6) as raw:
            raw.connect(self.sockets["tls"].getsockname())
            client = SSL.Connection(context, raw)
            client.set_connect_state()
            request = f"CONNECT {self.destination['echo']} HTTP/1.1\r\nHost: x\r\n\r\n"
            client.sendall(request.encode())
            self.assertIn(b" 200 ", client.recv(4096))
            sent = b"0123456789" * 6000
            client.sendall(sent)
            client.shutdown()
            heard = b""
            try:
                while True:
                    heard += client.recv(65536)
            except SSL.ZeroReturnError:
                pass
        self.assertEqual(heard, sent)
