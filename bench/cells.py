"""What the benchmark measures, and what each ratio to the peer has to be.

`MUST_AIM` holds, for each row and each way, the ratio ours / peer that must be reached and the one
that is aimed at; rates are better when larger, times when smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

import verdicts

ASKED = ("connect-uds", "connect-tls", "grpc-uds")
"""The ways that have bars."""

WAYS = (*ASKED, "grpc-tls")

MUST_AIM = {
    #                   connect-uds   connect-tls   grpc-uds
    "download": ((2.4, 3.5), (2.0, 3.0), (2.0, 3.0)),
    "upload": ((2.4, 3.5), (1.5, 2.5), (1.6, 2.5)),
    "rate": ((1.3, 2.0), (1.1, 1.5), (1.5, 2.0)),
    "echo": ((1.1, 1.5), (0.95, 1.3), (1.1, 1.6)),
    "p50": ((1 / 1.1, 1 / 1.5), (1 / 0.95, 1 / 1.3), (1 / 1.1, 1 / 1.6)),
    "p99": ((0.6, 0.4), (0.7, 0.5), (0.6, 0.4)),
    "beside": ((0.2, 0.08), (0.3, 0.2), (0.25, 0.12)),
    "beside8": ((0.25, 0.25), (0.25, 0.25), (0.25, 0.25)),
    "cpu": ((0.45, 0.3), (0.5, 0.35), (0.5, 0.35)),
}


@dataclass(frozen=True)
class Cell:
    """One figure: a pbench mode, how many tunnels, and what is read from its answer."""

    group: str
    row: str
    name: str
    mode: str
    tunnels: int
    figure: str
    unit: str

    @property
    def is_time(self) -> bool:
        """Whether less is better."""
        return self.unit in ("us", "s/GB")

    def bars(self, way: str) -> tuple[float, float] | None:
        """The ratio that must be and the one that is aimed at; None where there is none."""
        bars = MUST_AIM.get(self.row)
        return bars[ASKED.index(way)] if bars and way in ASKED else None

    def shown(self, value: float) -> str:
        """A figure with its unit."""
        return f"{value:.{2 if self.unit == 's/GB' else 0}f} {self.unit}"

    def ratio(self, ours: float, peers: float) -> float | None:
        """Ours by the peer's: see `verdicts.ratio`."""
        return verdicts.ratio(ours, peers, less_is_better=self.is_time)

    def verdict(self, ratio: float | None, bar: float | None) -> str:
        """What the ratio has to be, and whether it is: see `verdicts.verdict`."""
        return verdicts.verdict(ratio, bar, less_is_better=self.is_time)


CELLS = (
    *(Cell("bulk", "download", f"download, {n}", "down", n, "down_MBps", "MB/s") for n in (1, 8)),
    *(Cell("bulk", "upload", f"upload, {n}", "up", n, "up_MBps", "MB/s") for n in (1, 8)),
    Cell("bulk", "cpu", "CPU of the pair, download, 1", "down", 1, "cpu_s_GB", "s/GB"),
    Cell("bulk", "", "CPU of the pair, upload, 1", "up", 1, "cpu_s_GB", "s/GB"),
    *(
        Cell("rate", "rate", f"open + request + close, {n}", "conn", n, "conn_s", "/s")
        for n in (1, 16, 64)
    ),
    Cell("rate", "", "CPU of the pair for one, 64", "conn", 64, "cpu_us", "us"),
    *(
        Cell("echo", "echo", f"echoes of 64 B, {n}", "ping", n, "pings_s", "/s")
        for n in (1, 16, 64)
    ),
    *(Cell("echo", "p50", f"echo p50, {n}", "ping", n, "p50_us", "us") for n in (1, 16, 64)),
    *(Cell("echo", "p99", f"echo p99, {n}", "ping", n, "p99_us", "us") for n in (16, 64)),
    *(
        Cell("echo", "", f"CPU of the pair for one echo, {n}", "ping", n, "cpu_us", "us")
        for n in (1, 16, 64)
    ),
    Cell("beside", "beside", "echo p50 beside a download", "mix", 1, "p50_us", "us"),
    Cell("beside", "beside8", "echo p50 beside 8 downloads", "mix", 8, "p50_us", "us"),
    Cell("beside", "", "4 downloads beside a reader that stopped", "slow", 4, "down_MBps", "MB/s"),
)
