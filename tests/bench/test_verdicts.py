"""Tests of the measuring programs' verdicts: bars, medians and ratios, and the words for them."""

from __future__ import annotations

import math
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.bench.programs import program


class VerdictTests(SynchronousTestCase):
    """bench/verdicts.py, and the cells that ask it."""

    def setUp(self) -> None:
        """The modules."""
        self.verdicts = program("verdicts")
        self.cells = program("cells")

    def cell(self, unit: str, row: str = "rate") -> Any:
        """A cell of this unit."""
        return self.cells.Cell("group", row, "a cell", "mode", 1, "figure", unit)

    def test_rates(self) -> None:
        """More is better, and the bar itself is enough."""
        rate = self.cell("/s")
        self.assertEqual(rate.verdict(1.1, 1.1), ">= 1.10 yes")
        self.assertEqual(rate.verdict(1.09, 1.1), ">= 1.10 NO")

    def test_times(self) -> None:
        """Less is better, of CPU time too."""
        for unit in ("us", "s/GB"):
            self.assertEqual(self.cell(unit).verdict(0.6, 0.6), "<= 0.60 yes")
            self.assertEqual(self.cell(unit).verdict(0.61, 0.6), "<= 0.60 NO")

    def test_unknown(self) -> None:
        """Without a ratio there is no answer, without a bar no question."""
        self.assertEqual(self.cell("/s").verdict(None, 1.1), ">= 1.10")
        self.assertEqual(self.cell("/s").verdict(1.0, None), "")
        self.assertEqual(self.verdicts.shown(None), "-")
        self.assertEqual(self.verdicts.shown(0.125), "0.12")

    def test_nothing_came_through(self) -> None:
        """Nothing of the peer's is no ratio; nothing of ours meets no bar, though a time of 0 looks
        short."""
        rate, time = self.cell("/s"), self.cell("us")
        self.assertEqual((rate.ratio(5, 0), time.ratio(5, 0)), (None, None))
        self.assertEqual((rate.ratio(0, 5), time.ratio(0, 5)), (0, math.inf))
        for cell in (rate, time):
            self.assertIn("NO", cell.verdict(cell.ratio(0, 5), 1.0))

    def test_medians(self) -> None:
        """Of what is there."""
        self.assertEqual(self.verdicts.median([3.0, None, 1.0, 2.0]), 2.0)
        self.assertEqual(self.verdicts.median([4.0, 1.0]), 2.5)
        self.assertEqual(self.verdicts.median([None]), None)

    def test_bars(self) -> None:
        """Every row that is asked of has both bars for every way, the aim being the harder one."""
        for row, ways in self.cells.MUST_AIM.items():
            (cell, *_) = [cell for cell in self.cells.CELLS if cell.row == row]
            self.assertEqual(len(ways), len(self.cells.ASKED))
            for must, aim in ways:
                harder = aim <= must if cell.is_time else aim >= must
                self.assertTrue(harder, (row, must, aim))


class RowTests(SynchronousTestCase):
    """Rows of the tables."""

    def test_bench(self) -> None:
        """Ours to the last, and both verdicts; alone it has none."""
        bench, cells = program("bench"), program("cells")
        (cell,) = [cell for cell in cells.CELLS if cell.name == "download, 1"]
        self.assertEqual(
            bench.row(cell, "connect-uds", [300.0, 100.0]),
            "300 MB/s | 100 MB/s | 3.00 | >= 2.40 yes | >= 3.50 NO",
        )
        self.assertEqual(
            bench.row(cell, "connect-uds", [300.0]), "300 MB/s | - | >= 2.40 | >= 3.50"
        )

    def test_mixed(self) -> None:
        """Each mixed pair beside the peer's own: bulk has to be ahead, all else nearly level."""
        mixed, cells = program("mixed"), program("cells")
        named = {cell.name: cell for cell in cells.CELLS}
        self.assertEqual(
            mixed.row(named["upload, 8"], [109.0, 111.0, 100.0]),
            "109 MB/s | 111 MB/s | 100 MB/s | 1.09 | >= 1.10 NO | 1.11 | >= 1.10 yes",
        )
        self.assertEqual(
            mixed.row(named["echo p50, 16"], [126.0, 124.0, 100.0]),
            "126 us | 124 us | 100 us | 1.26 | <= 1.25 NO | 1.24 | <= 1.25 yes",
        )


class IsolationTests(SynchronousTestCase):
    """bench/isolation.py."""

    def setUp(self) -> None:
        """The module."""
        self.isolation = program("isolation")

    def figures(self, value: float, rest: float = 0.0, failed: float = 0.0) -> list[Any]:
        """A run in which everything came to `value`, for 2 us each."""
        figure = self.isolation.Figure
        return [figure(value, 2.0, failed) for _ in self.isolation.CELLS] + [figure(rest)]

    def lines(self, *runs: Any) -> dict[str, list[str]]:
        """The columns behind a row's name."""
        found = self.isolation.lines("readers", 200, "ours+ours", list(runs))
        cells = [[column.strip() for column in line.strip("|").split("|")] for line in found]
        return {columns[2]: columns[3:] for columns in cells}

    def test_ratios(self) -> None:
        """Beside to the mean of before and after; the median of the repetitions decides."""
        repetition = self.isolation.Repetition
        runs = [
            repetition(self.figures(90), self.figures(beside), self.figures(110), 200)
            for beside in (20, 95, 96)
        ]
        rows = self.lines(*runs)
        self.assertEqual(
            rows["download, 4"], ["100 MB/s", "95 MB/s", "0.95", ">= 0.90 yes", "1.00"]
        )
        self.assertEqual(rows["echo p99, 16"][3], "<= 2.00 yes")

    def test_too_slow(self) -> None:
        """Below the bar, or above it for times."""
        run = self.isolation.Repetition(self.figures(100), self.figures(50), self.figures(100), 200)
        self.assertEqual(self.lines(run)["download, 4"][3], ">= 0.90 NO")
        run = self.isolation.Repetition(
            self.figures(100), self.figures(201), self.figures(100), 200
        )
        self.assertEqual(self.lines(run)["echo p99, 16"][3], "<= 2.00 NO")

    def test_failed(self) -> None:
        """Tunnels that failed are enough, whatever the ratio."""
        run = self.isolation.Repetition(
            self.figures(100), self.figures(100, failed=3), self.figures(100), 200
        )
        self.assertEqual(self.lines(run)["download, 4"][3], "3 failed NO")

    def test_at_rest(self) -> None:
        """What the stopped ones cost while nothing happens."""
        for rest, answer in ((10.0, "yes"), (11.0, "NO")):
            run = self.isolation.Repetition(
                self.figures(100), self.figures(100, rest), self.figures(100), 200
            )
            self.assertEqual(self.lines(run)["CPU at rest"][3], f"<= 10 more {answer}")


class GrowthTests(SynchronousTestCase):
    """bench/growth.py."""

    def setUp(self) -> None:
        """Figures that do not grow, and memory that does, evenly."""
        self.growth = program("growth")

    def row(self, tunnels: int, **other: float) -> Any:
        """A row as it should be: 2 KiB for each tunnel in both programs."""
        size = 60.0 + tunnels / 512
        good = {"proxy": size, "agent": size, "idle": 0.2, "rate": 1000.0}
        good |= {"rate_cpu": 500.0, "echo": 900.0, "echo_cpu": 60.0}
        return self.growth.Row(tunnels, **(good | other))

    def verdict(self, **last: float) -> str:
        """Of 10,000 tunnels behind 1,000 and none."""
        return str(
            self.growth.above_linear([self.row(0), self.row(1000), self.row(10_000, **last)])
        )

    def test_even(self) -> None:
        """Memory in proportion and all else as it was is good; of one row nothing can be said."""
        self.assertEqual(self.verdict(), "no")
        self.assertEqual(self.growth.above_linear([self.row(0)]), "")

    def test_named(self) -> None:
        """What grows by more than its share is named."""
        for name, value in (
            ("proxy", 60.0 + 1.5 * 10_000 / 512),
            ("agent", 60.0 + 1.5 * 10_000 / 512),
            ("idle", 0.9),
            ("rate", 600.0),
            ("rate_cpu", 630.0),
            ("echo", 1400.0),
            ("echo_cpu", 76.0),
        ):
            self.assertEqual(self.verdict(**{name: value}), self.growth.NAMES[name])

    def test_within_the_slack(self) -> None:
        """A quarter more is not, nor a rate or a time that is worse by less than half."""
        self.assertEqual(
            self.verdict(proxy=60.0 + 1.2 * 10_000 / 512, rate=700.0, rate_cpu=620.0, echo=1300.0),
            "no",
        )

    def test_nothing_came_through(self) -> None:
        """A load of which nothing came through has not become cheap."""
        self.assertEqual(
            self.verdict(echo=0.0, echo_cpu=0.0),
            f"{self.growth.NAMES['echo_cpu']}, {self.growth.NAMES['echo']}",
        )
