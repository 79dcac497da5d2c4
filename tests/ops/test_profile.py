"""Tests of konnect.ops.profile: the protobuf is read by protobuf's own library."""

from __future__ import annotations

import gzip
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from twisted.trial.unittest import SynchronousTestCase

from konnect.ops.profile import Frame, Profile

INTEGER, UNSIGNED, TEXT, MESSAGE = 3, 4, 9, 11
"""Types of fields, by protobuf's numbers."""

# pprof's messages, as far as we write them: name, number, type, whether repeated, message type.
SCHEMA: dict[str, list[tuple[str, int, int, bool, str]]] = {
    "Profile": [
        ("sample_type", 1, MESSAGE, True, "ValueType"),
        ("sample", 2, MESSAGE, True, "Sample"),
        ("location", 4, MESSAGE, True, "Location"),
        ("function", 5, MESSAGE, True, "Function"),
        ("string_table", 6, TEXT, True, ""),
        ("time_nanos", 9, INTEGER, False, ""),
        ("duration_nanos", 10, INTEGER, False, ""),
        ("period_type", 11, MESSAGE, False, "ValueType"),
        ("period", 12, INTEGER, False, ""),
    ],
    "ValueType": [("type", 1, INTEGER, False, ""), ("unit", 2, INTEGER, False, "")],
    "Sample": [("location_id", 1, UNSIGNED, True, ""), ("value", 2, INTEGER, True, "")],
    "Location": [("id", 1, UNSIGNED, False, ""), ("line", 4, MESSAGE, True, "Line")],
    "Line": [("function_id", 1, UNSIGNED, False, ""), ("line", 2, INTEGER, False, "")],
    "Function": [
        ("id", 1, UNSIGNED, False, ""),
        ("name", 2, INTEGER, False, ""),
        ("system_name", 3, INTEGER, False, ""),
        ("filename", 4, INTEGER, False, ""),
    ],
}


def read(data: bytes) -> Any:
    """The message in a gzipped profile."""
    file = descriptor_pb2.FileDescriptorProto(name="p.proto", package="p", syntax="proto3")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated, other in fields:
            message.field.add(
                name=field,
                number=number,
                type=kind,
                label=3 if repeated else 1,
                type_name=f".p.{other}" if other else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("p.Profile"))()
    made.ParseFromString(gzip.decompress(data))
    return made


OUTER, INNER = Frame("outer", "a.py", 3), Frame("inner", "b.py", 200)
PROFILE = Profile(
    values=(("samples", "count"), ("cpu", "nanoseconds")),
    stacks={(INNER, OUTER): (2, 20_000_000), (OUTER,): (1, 10_000_000)},
    period=10_000_000,
    began=1000.5,
    seconds=2.25,
)


class PprofTests(SynchronousTestCase):
    """The protobuf."""

    def test_samples(self) -> None:
        """Stacks, innermost first, with names, files, lines and numbers."""
        made = read(PROFILE.pprof())
        texts = list(made.string_table)
        functions = {function.id: function for function in made.function}
        places = {}
        for location in made.location:
            (line,) = location.line
            function = functions[line.function_id]
            self.assertEqual(function.system_name, function.name)
            places[location.id] = Frame(texts[function.name], texts[function.filename], line.line)
        found = {
            tuple(places[number] for number in sample.location_id): tuple(sample.value)
            for sample in made.sample
        }
        self.assertEqual(found, PROFILE.stacks)
        self.assertEqual(texts[0], "")
        self.assertEqual(len(texts), len(set(texts)))
        self.assertEqual(len(made.location), 2)

    def test_head(self) -> None:
        """What the numbers are, when and for how long it was looked, how often."""
        made = read(PROFILE.pprof())
        texts = list(made.string_table)
        kinds = [(texts[kind.type], texts[kind.unit]) for kind in made.sample_type]
        self.assertEqual(kinds, list(PROFILE.values))
        self.assertEqual(made.time_nanos, 1_000_500_000_000)
        self.assertEqual(made.duration_nanos, 2_250_000_000)
        self.assertEqual((texts[made.period_type.type], made.period), ("cpu", 10_000_000))

    def test_empty(self) -> None:
        """A profile in which nothing was found is one all the same."""
        made = read(Profile(values=(("threads", "count"),), stacks={}).pprof())
        self.assertEqual((len(made.sample), len(made.sample_type), made.period), (0, 1, 0))


class FoldedTests(SynchronousTestCase):
    """The text."""

    def test_folded(self) -> None:
        """One stack a line, outermost first, the largest first."""
        self.assertEqual(PROFILE.folded(), b"outer;inner 20000000\nouter 10000000\n")
