"""Tests of konnect.ops.process_metrics: prometheus-client's figures, at a constant cost."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path
from unittest import SkipTest

import prometheus_client
from twisted.trial.unittest import SynchronousTestCase

from konnect.ops.exposition import exposition
from konnect.ops.process_metrics import ProcessCollector, open_files

TEXT = ("# HELP", "# TYPE")


class ProcessTests(SynchronousTestCase):
    """This process."""

    def values(self, collector: object) -> dict[str, float]:
        """The samples."""
        lines = exposition(collector).decode().splitlines()  # type: ignore[arg-type]
        samples = (line.rpartition(" ") for line in lines if not line.startswith(TEXT))
        return {name: float(value) for name, _, value in samples}

    def test_the_same(self) -> None:
        """Names, texts and types are prometheus-client's, and so are the values, as far as they
        stand still."""
        theirs = prometheus_client.ProcessCollector(registry=None)
        ours = ProcessCollector()
        families = [
            [line for line in exposition(each).decode().splitlines() if line.startswith(TEXT)]
            for each in (ours, theirs)
        ]
        self.assertLess(set(families[1]), set(families[0]))
        self.assertEqual(families[0], sorted(families[0], key=lambda line: line.split()[2]))
        mine, others = self.values(ours), self.values(theirs)
        for name in ("process_start_time_seconds", "process_max_fds"):
            self.assertEqual(mine[name], others[name])
        # Theirs counts the listing's own descriptor too.
        self.assertEqual(mine["process_open_fds"], others["process_open_fds"] - 1)
        for name in ("process_resident_memory_bytes", "process_virtual_memory_bytes"):
            self.assertLess(abs(mine[name] / others[name] - 1), 0.05)
        used = "process_cpu_seconds_total"
        self.assertLess(abs(mine[used] - others[used]), 1)

    def test_go(self) -> None:
        """What only Go's library has is there too, with its texts and types."""
        text = exposition(ProcessCollector()).decode()
        for name, kind, words in (
            (
                "process_virtual_memory_max_bytes",
                "gauge",
                "Maximum amount of virtual memory available in bytes.",
            ),
            (
                "process_network_receive_bytes_total",
                "counter",
                "Number of bytes received by the process over the network.",
            ),
            (
                "process_network_transmit_bytes_total",
                "counter",
                "Number of bytes sent by the process over the network.",
            ),
        ):
            self.assertIn(f"# HELP {name} {words}\n# TYPE {name} {kind}\n{name} ", text)

    def test_limits(self) -> None:
        """Limits are those of the process; none is Go's largest number."""
        for most, shown in ((resource.RLIM_INFINITY, 2.0**64), (1 << 40, 2.0**40)):
            self.patch(resource, "getrlimit", lambda which, most=most: (most, most))
            values = self.values(ProcessCollector())
            self.assertEqual(values["process_virtual_memory_max_bytes"], shown)
            self.assertEqual(values["process_max_fds"], shown)

    def test_network(self) -> None:
        """The bytes of the network namespace, by name and not by place."""
        proc = Path(self.mktemp())
        (proc / "self/net").mkdir(parents=True)
        (proc / "stat").write_text("btime 100\n")
        (proc / "self/stat").write_text("1 (a) " + "0 " * 50)
        netstat = proc / "self/net/netstat"
        names = ["process_network_receive_bytes_total", "process_network_transmit_bytes_total"]
        netstat.write_text("TcpExt: A\nTcpExt: 1\nIpExt: X OutOctets InOctets\nIpExt: 1 22 333\n")
        values = self.values(ProcessCollector(proc))
        self.assertEqual([values[name] for name in names], [333, 22])
        for text in ("", "IpExt: InOctets\n", "IpExt: X\nIpExt: 1\n"):
            netstat.write_text(text)
            self.assertEqual(set(names) & self.values(ProcessCollector(proc)).keys(), set())

    def test_open_files(self) -> None:
        """Each further file counts."""
        before = open_files()
        with socket.socket(), socket.socket():
            self.assertEqual(open_files(), before + 2)
        self.assertEqual(open_files(), before)

    def test_not_listed(self) -> None:
        """Open files are not listed to count them, where the kernel tells."""
        if not os.stat("/proc/self/fd").st_size:
            raise SkipTest("before Linux 6.2 only a list tells how many files are open")
        self.patch(os, "listdir", None)
        self.assertIn("process_open_fds", self.values(ProcessCollector()))

    def test_an_older_kernel(self) -> None:
        """Where the folder has no size, its entries are counted."""
        known = len(os.listdir("/proc/self/fd")) - 1
        sizeless = os.stat_result((*os.stat("/proc/self/fd")[:6], 0, 0, 0, 0))
        self.patch(Path, "stat", lambda path: sizeless)
        self.assertEqual(open_files(), known)

    def test_no_proc(self) -> None:
        """Where there is no /proc, what needs none is told."""
        self.assertEqual(
            self.values(ProcessCollector(Path("/nowhere"))).keys(),
            {
                "process_cpu_seconds_total",
                "process_max_fds",
                "process_virtual_memory_max_bytes",
            },
        )

    def test_no_descriptors(self) -> None:
        """When all descriptors are in use, what needs none is told, and nothing fails."""
        collector = ProcessCollector()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        found = self.values(collector)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertIn("process_cpu_seconds_total", found)
        self.assertIn("process_start_time_seconds", found)
        self.assertNotIn("process_resident_memory_bytes", found)
