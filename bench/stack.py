"""One running pair of proxy and agent for the benchmark, ours or the peer's."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from konnect.app.certs import make_tree

READY = 20.0
"""Seconds that a pair has to become ready."""


def allow_files(wanted: int) -> None:
    """Let this process, and those that it starts, have so many files open; raises SystemExit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY not in (soft, hard) and wanted > hard:
        raise SystemExit(f"{wanted} open files are needed, {hard} are allowed (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far, in all its threads."""
    # Its clock, as clock_getcpuclockid(3) names it: /proc/PID/stat only counts ticks of 10 ms.
    return time.clock_gettime((~pid << 3) | 2)


def resident(pid: int) -> float:
    """KiB of memory that a process has now; what it shares with others counts in full."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return float(found[1]) if found else 0.0


class Stack:
    """
    A proxy and an agent, as `with Stack(...)`.

    :param name: PROXY+AGENT, each `ours` or `peer`.
    :param way: one of `cells.WAYS`.
    :param folder: a temporary folder; certificates, sockets and logs go there.
    :param peer: the folder with the peer's `server` and `agent`.
    """

    def __init__(self, name: str, way: str, folder: Path, port_base: int, peer: str) -> None:
        self._proxy, self._agent = name.split("+")
        self._way = way
        self._folder = folder
        self._base = port_base
        self._peer = peer
        self._processes: list[subprocess.Popen[bytes]] = []
        self._certs = folder / "certs"
        self.proxy_health = port_base + 2
        self.agent_health = port_base + 3
        self.destination_port = port_base + 9
        self.link_port = port_base + 1
        """Where the agent looks for the proxy, which listens at the second port of the base."""
        self.client_certs = folder / "client"
        self._socket = folder / f"{way}.sock"
        self.via = {
            "connect-uds": f"uds:{self._socket}",
            "connect-tls": f"tls:{port_base}",
            "grpc-uds": f"grpc:{self._socket}",
            "grpc-tls": f"gtls:{port_base}",
        }[way]

    def __enter__(self) -> Stack:
        self.prepare()
        try:
            self.start_proxy()
            self.start_agent()
            for port in (self.proxy_health, self.agent_health):
                self._wait(port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def prepare(self) -> None:
        """Make the certificates, once for each folder."""
        certs = self._certs
        if not certs.exists():
            make_tree(certs, rsa=True)
            self.client_certs.mkdir()
            frontend = certs / "frontend"
            shutil.copy(frontend / "issued/ca.crt", self.client_certs / "ca.crt")
            shutil.copy(frontend / "issued/proxy-client.crt", self.client_certs / "client.crt")
            shutil.copy(frontend / "private/proxy-client.key", self.client_certs / "client.key")

    def start_proxy(self) -> None:
        """Begin to start it; `proxy_health` is its health port."""
        self._start("server", "konnect-proxy", self._proxy, self._proxy_flags(self._certs))

    def start_agent(self) -> None:
        """Begin to start it; `agent_health` is its health port."""
        self._start("agent", "konnect-agent", self._agent, self._agent_flags(self._certs))

    @property
    def pids(self) -> list[int]:
        """The processes: proxy, agent."""
        return [process.pid for process in self._processes]

    def __exit__(self, *_: Any) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()

    def cpu_seconds(self) -> float:
        """CPU time that both processes have used so far."""
        return sum(cpu_seconds(process.pid) for process in self._processes)

    def _start(self, stock: str, ours: str, kind: str, flags: list[str]) -> None:
        if kind == "ours":
            run = "from twisted.scripts.twistd import run; run()"
            twistd = [sys.executable, "-c", run, "--nodaemon", "--pidfile=", ours]
        elif self._peer:
            twistd = [str(Path(self._peer) / stock), "--v=0"]
        else:
            raise SystemExit("PEER_BIN names no folder with the peer's `server` and `agent`")
        with open(self._folder / f"{kind}-{stock}.log", "ab") as log:
            self._processes.append(
                subprocess.Popen([*twistd, *flags], stdout=log, stderr=log, env=dict(os.environ))
            )

    def _proxy_flags(self, certs: Path) -> list[str]:
        base = self._base
        flags = [
            f"--agent-port={base + 1}",
            f"--health-port={base + 2}",
            f"--admin-port={base + 5}",
            f"--cluster-ca-cert={certs}/agent/issued/ca.crt",
            f"--cluster-cert={certs}/agent/issued/proxy-frontend.crt",
            f"--cluster-key={certs}/agent/private/proxy-frontend.key",
            "--mode=" + ("grpc" if self._way.startswith("grpc") else "http-connect"),
        ]
        if self._way.endswith("uds"):
            return [*flags, f"--uds-name={self._socket}", "--server-port=0"]
        return [
            *flags,
            f"--server-port={base}",
            f"--server-ca-cert={certs}/frontend/issued/ca.crt",
            f"--server-cert={certs}/frontend/issued/proxy-frontend.crt",
            f"--server-key={certs}/frontend/private/proxy-frontend.key",
        ]

    def _agent_flags(self, certs: Path) -> list[str]:
        base = self._base
        return [
            "--proxy-server-host=127.0.0.1",
            f"--proxy-server-port={self.link_port}",
            f"--health-server-port={base + 3}",
            f"--admin-server-port={base + 4}",
            f"--ca-cert={certs}/agent/issued/ca.crt",
            f"--agent-cert={certs}/agent/issued/proxy-agent.crt",
            f"--agent-key={certs}/agent/private/proxy-agent.key",
        ]

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + READY
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        logs = "".join(path.read_text()[-1000:] for path in self._folder.glob("*.log"))
        raise SystemExit(f"no pair became ready (port {port}); their last words:\n{logs}")
