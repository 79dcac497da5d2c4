"""SIGHUP, at both programs as processes: the TLS files are read anew, and nothing ends."""

from __future__ import annotations

import shutil
import signal
import ssl
from pathlib import Path

from cryptography import x509

from tests.certificates import pki
from tests.interop import processes
from tests.interop.pairs import InteropTestCase
from tests.interop.processes import wait_until

USED = "new connections use the changed TLS files"
KEPT = "the changed TLS files cannot be used, new connections go on with the old ones"


class SighupTests(InteropTestCase):
    """`--tls-reload-interval=0s`, so that only the signal makes a program look."""

    def files(self, *sources: str) -> list[str]:
        folder = self.directory()
        return [shutil.copy(source, str(folder / str(n))) for n, source in enumerate(sources)]

    def expiry(self, port: int, file: str) -> float:
        """The metric of one file."""
        (line,) = [
            line
            for line in processes.http_get(port, "/metrics")[1].splitlines()
            if line.startswith("konnect_certificate_expiry_timestamp_seconds{")
            and f'file="{file}"' in line
        ]
        return float(line.rpartition(" ")[2])

    def test_proxy(self) -> None:
        """A broken file keeps the old certificate, a good one is shown at once and measured."""
        p = pki()
        cert, key = self.files(p.agent_server_cert, p.agent_server_key)
        proxy = self.proxy(
            cluster_cert=cert, cluster_key=key, cluster_ca_cert="", tls_reload_interval="0s"
        )
        at = ("127.0.0.1", proxy.agent_port)
        before = self.expiry(proxy.health_port, cert)
        Path(cert).write_text("nonsense")
        proxy.program.signal(signal.SIGHUP)
        line = proxy.program.wait_for_line("agent listener", KEPT)
        self.assertIn(f"{cert}: no certificate in this certificate", line)
        self.assertEqual(ssl.get_server_certificate(at), Path(p.agent_server_cert).read_text())
        shutil.copy(p.other_server_cert, cert)
        shutil.copy(p.other_server_key, key)
        proxy.program.signal(signal.SIGHUP)
        proxy.program.wait_for_line("agent listener", USED)
        self.assertEqual(ssl.get_server_certificate(at), Path(p.other_server_cert).read_text())
        other = x509.load_pem_x509_certificate(Path(p.other_server_cert).read_bytes())
        after = self.expiry(proxy.health_port, cert)
        self.assertNotEqual(after, before)
        self.assertEqual(after, other.not_valid_after_utc.timestamp())

    def test_agent(self) -> None:
        """An agent that trusts the wrong authority links as soon as it is told of the right one."""
        p = pki()
        (ca,) = self.files(p.other_ca)
        proxy = self.proxy()
        agent = self.agent(proxy.agent_port, healthy=False, ca_cert=ca, tls_reload_interval="0s")
        agent.program.wait_for_line("no link to the proxy", "unknown certificate authority")
        shutil.copy(p.agent_ca, ca)
        agent.program.signal(signal.SIGHUP)
        agent.program.wait_for_line("link to 127.0.0.1", USED)
        proxy.wait_ready()
        wait_until(agent.ready, "the agent is linked")
