"""Tests of bench/options.py: what all measuring programs are told."""

from __future__ import annotations

import contextlib
import io
import os
from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from tests.bench.programs import program

PROGRAMS = ("bench", "mixed", "isolation", "growth", "far", "memory", "startup")


class OptionsTests(SynchronousTestCase):
    """The command line, and who is measured."""

    def setUp(self) -> None:
        """The module."""
        self.options = program("options")

    def test_defaults(self) -> None:
        """Every way, the program's own time and ports."""
        choice = self.options.make_parser("", port_base=27000, seconds=2.0).parse_args([])
        self.assertEqual(choice.ways, ["connect-uds", "connect-tls", "grpc-uds"])
        self.assertEqual((choice.seconds, choice.repetitions, choice.port_base), (2.0, 3, 27000))

    def test_other_defaults(self) -> None:
        """A program may measure other ways, also ones that have no bars."""
        ways = program("cells").WAYS
        choice = self.options.make_parser("", port_base=1, default=ways).parse_args([])
        self.assertEqual(choice.ways, list(ways))
        self.assertIn("grpc-tls", ways)
        self.assertIsNone(program("cells").CELLS[0].bars("grpc-tls"))

    def test_no_time(self) -> None:
        """Where nothing is measured over a time there is no such option."""
        self.assertNotIn("seconds", self.options.make_parser("", port_base=1).parse_args([]))

    def test_ways(self) -> None:
        """A comma list; what is no way ends the program before it has begun."""
        parser = self.options.make_parser("", port_base=1)
        self.assertEqual(
            parser.parse_args(["--ways=grpc-uds,connect-uds"]).ways, ["grpc-uds", "connect-uds"]
        )
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            self.assertRaises(SystemExit, parser.parse_args, ["--ways=grpc-uds,nope"])
        self.assertIn("there is no way 'nope'", said.getvalue())

    def test_only(self) -> None:
        """Some groups of cells, or all."""
        cells = program("cells").CELLS
        parser = self.options.make_parser("", port_base=1)
        self.options.add_only(parser)
        self.assertEqual(self.options.chosen(cells, parser.parse_args([])), list(cells))
        some = self.options.chosen(cells, parser.parse_args(["--only=bulk,echo"]))
        self.assertEqual({cell.group for cell in some}, {"bulk", "echo"})

    def test_numbers(self) -> None:
        """In order, whatever order they were given in."""
        self.assertEqual(self.options.numbers("100,0,20"), [0, 20, 100])

    def test_pairs(self) -> None:
        """The peer is measured where it is."""
        self.patch(os, "environ", {})
        self.assertEqual(self.options.pairs(), ["ours+ours"])
        self.patch(os, "environ", {"PEER_BIN": "/somewhere"})
        self.assertEqual(self.options.pairs(), ["ours+ours", "peer+peer"])
        self.assertEqual(self.options.peer(), "/somewhere")

    def test_ports(self) -> None:
        """No two programs use the same ports by default."""
        bases = []
        for name in PROGRAMS:
            source = program(name).__file__
            with open(source, encoding="utf-8") as file:
                (base,) = [line for line in file if "port_base=2" in line]
            bases.append(int(base.partition("port_base=")[2].partition(",")[0].rstrip(")\n")))
        bases.sort()
        self.assertTrue(all(b - a >= 20 for a, b in pairwise(bases)), bases)
