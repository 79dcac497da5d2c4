"""A thousand tunnels whose readers have stopped: the processes stay below the sum that
docs/operations.md states, by the kernel's own count of their memory.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from konnect.proxy.client_window import INITIAL
from tests.interop.connecting import frontend_socket
from tests.interop.destination import BURST
from tests.interop.grpc_writers import CHUNK, GrpcWriter, write_all
from tests.interop.pairs import InteropTestCase, Proxy, _sum_of
from tests.interop.processes import Program
from tests.wire.test_inlet import odd

TUNNELS = 1000
FEW = 20
REST_OF_HEAD = b" Connection Established\r\n\r\n"
CREDIT = 65536
OVERHEAD = 128 * 1024
"""Bytes of one tunnel beyond its credit: what its transport holds, one read, and its objects."""

DEFAULT_PROXY_LIMIT = 256 * 1024 * 1024
DEFAULT_AGENT_LIMIT = 128 * 1024 * 1024

AT_STAKE = DEFAULT_AGENT_LIMIT // 4
"""Bytes in backlogs below which windows are never smaller than they are without a limit."""

BASE = 24 * 1024 * 1024
"""Bytes by which a process may grow whatever its tunnels hold: one link's windows and buffers."""

PATIENCE = 60.0
"""Seconds that two processes have to be full."""


def resident(program: Program) -> int:
    """Bytes of memory that a process holds."""
    pages = Path(f"/proc/{program.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


class MemoryTests(InteropTestCase):
    """One pair, and tunnels over its unix socket."""

    def _open(self, proxy: Proxy, port: int) -> list[socket.socket]:
        """So many tunnels to a destination on this port."""
        tunnels: list[socket.socket] = []
        for _ in range(TUNNELS):
            client = frontend_socket(proxy)
            self.addCleanup(client.close)
            client.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            self.assertEqual(client.recv(12), b"HTTP/1.1 200")
            tunnels.append(client)
        return tunnels

    def _unread(self) -> int:
        """The port of a destination whose connections nobody reads, or accepts; the kernel keeps
        little of them, since megabytes for each take long to fill."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        listener.bind(("127.0.0.1", 0))
        listener.listen(TUNNELS)
        return int(listener.getsockname()[1])

    def _settled(self, program: Program) -> int:
        """A process's memory when it grows no more."""
        last, same = 0, 0
        while same < 5:
            time.sleep(0.2)
            now = resident(program)
            same = same + 1 if now <= last + 65536 else 0
            last = max(last, now)
        return last

    def test_a_thousand_stalled_tunnels(self) -> None:
        """Clients that stop reading make no process hold more than their credit and a constant
        each."""
        proxy = self.proxy("http-connect", "uds", healthy=False, credit=str(CREDIT))
        agent = self.agent(proxy.agent_port, healthy=False, credit=str(CREDIT))
        proxy.wait_ready()
        programs = (proxy.program, agent.program)
        before = [resident(program) for program in programs]
        tunnels = self._open(proxy, int(self.destination["burst"].rpartition(":")[2]))
        grown = [
            self._settled(program) - was for program, was in zip(programs, before, strict=True)
        ]
        for growth in grown:
            self.assertLess(growth, BASE + TUNNELS * (CREDIT + OVERHEAD))
        # Else they were not stalled, and the sum above says nothing.
        self.assertGreater(grown[0], TUNNELS * CREDIT // 2)
        counted = _sum_of(proxy.health_port, "konnect_buffered_bytes")
        self.assertLessEqual(counted, TUNNELS * (CREDIT + 65536))
        # All of it is there when they are read again.
        for client in tunnels[:: TUNNELS // 10]:
            self.assertEqual(received(client), BURST + len(REST_OF_HEAD))
        for client in tunnels:
            client.close()
        self.assert_released("burst")

    def test_a_thousand_destinations_that_do_not_read(self) -> None:
        """With the default flags their credit would be 500 MiB: the agent stays below its
        --buffer-limit and a constant for each tunnel, and so does the proxy."""
        proxy = self.proxy("http-connect", "uds", healthy=False)
        agent = self.agent(proxy.agent_port, healthy=False)
        proxy.wait_ready()
        programs = (proxy.program, agent.program)
        before = [resident(program) for program in programs]
        tunnels = self._open(proxy, int(self.destination["unread"].rpartition(":")[2]))
        for client in tunnels:
            self.assertEqual(len(received_head(client)), len(REST_OF_HEAD))
            client.setblocking(False)
        # A busy machine may pass on nothing for a while, and be far from full.
        deadline = time.monotonic() + PATIENCE
        still = 0
        while still < 5 and time.monotonic() < deadline:
            taken = sum(map(written, tunnels))
            buffered = taken or _sum_of(agent.health_port, "konnect_buffered_bytes")
            still = still + 1 if buffered > AT_STAKE and not taken else 0
            time.sleep(0 if taken else 0.2)
        limits = (DEFAULT_PROXY_LIMIT, DEFAULT_AGENT_LIMIT)
        for program, was, limit in zip(programs, before, limits, strict=True):
            growth = self._settled(program) - was
            self.assertLess(growth, BASE + TUNNELS * OVERHEAD + limit)
        counted = _sum_of(agent.health_port, "konnect_buffered_bytes")
        self.assertGreater(counted, AT_STAKE, "else nothing was at stake")
        self.assertLess(counted, DEFAULT_AGENT_LIMIT + BASE)
        for client in tunnels:
            client.close()

    def test_grpc_clients_whose_destinations_do_not_read(self) -> None:
        """Their windows are no more than the first 64 KiB each and a quarter of --buffer-limit,
        where a window of 1 MiB each would be 1 GiB."""
        limit = 32 * 1024 * 1024
        proxy = self.proxy("grpc", "uds", healthy=False, buffer_limit=str(limit))
        agent = self.agent(proxy.agent_port, healthy=False, credit=str(CREDIT))
        proxy.wait_ready()
        before = resident(proxy.program)
        port = self._unread()
        writers = []
        for _ in range(TUNNELS):
            writer = GrpcWriter(proxy, f"127.0.0.1:{port}")
            self.addCleanup(writer.socket.close)
            writers.append(writer)
        # They take turns on the link, so that for seconds none may have room.
        write_all(writers, 4.0)
        growth = self._settled(proxy.program) - before
        self.assertLess(growth, BASE + TUNNELS * OVERHEAD + limit // 4)
        counted = _sum_of(proxy.health_port, "konnect_buffered_bytes")
        self.assertLess(counted, TUNNELS * INITIAL + limit // 4)
        # Room is told of by halves of a window, so that not all of each is in use.
        self.assertGreater(counted, TUNNELS * INITIAL // 4, "else nothing was at stake")
        self.assertGreater(_sum_of(agent.health_port, "konnect_buffered_bytes"), 0)

    def test_packets_that_are_collected(self) -> None:
        """DATA that is legal and not passed on as it comes is held back like any other."""
        limit = 4 * 1024 * 1024
        proxy = self.proxy("grpc", "uds", healthy=False, buffer_limit=str(limit))
        agent = self.agent(proxy.agent_port, healthy=False, credit=str(CREDIT))
        proxy.wait_ready()
        port = self._unread()
        writers = [GrpcWriter(proxy, f"127.0.0.1:{port}", odd) for _ in range(FEW)]
        for writer in writers:
            self.addCleanup(writer.socket.close)
        write_all(writers, 2.0, most=FEW * 32 * INITIAL)
        counted = _sum_of(proxy.health_port, "konnect_buffered_bytes")
        self.assertGreater(_sum_of(agent.health_port, "konnect_buffered_bytes"), 0)
        # A packet may be whole when its window is used up.
        self.assertLess(counted, FEW * (INITIAL + 2 * CHUNK) + limit // 4)


def received_head(client: socket.socket) -> bytes:
    """The rest of the answer's head."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(len(REST_OF_HEAD) - len(head))
    return head


def written(client: socket.socket) -> int:
    """Bytes that a socket takes without waiting, of one turn's share."""
    try:
        return client.send(bytes(65536))
    except BlockingIOError:
        return 0


def received(client: socket.socket) -> int:
    """Bytes until the end."""
    total = 0
    while data := client.recv(65536):
        total += len(data)
    return total
