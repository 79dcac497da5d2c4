"""Tests of konnect.app.collector, in processes of their own: it is for a whole process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

PROGRAM = """
import gc, json, weakref
from konnect.app import collector
class Thing:
    pass
def ring():
    thing = Thing()
    thing.itself = thing
    return weakref.ref(thing)
runs = []
gc.callbacks.append(lambda phase, info: runs.append(info["generation"]) if phase == "start" else 0)
started = [Thing() for _ in range(1000)]
early = ring()
if {settle}:
    collector.settle()
runs.clear()
for _ in range(200):
    passing = [Thing() for _ in range(4000)]
    del passing
come_and_gone = len(runs)
late, found = [], 0
while not found and len(late) < 100_000:
    late.append(ring())
    found = late[0]() is None
print(json.dumps(dict(
    early=early() is None,
    come_and_gone=come_and_gone,
    late=len(late),
    looked_at=len(gc.get_objects()) < 1000 + len(late),
)))
"""


def outcome(*, settle: bool) -> dict[str, Any]:
    """What the program saw."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{settle}", str(settle))],
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    found: dict[str, Any] = json.loads(run.stdout)
    return found


class CollectorTests(SynchronousTestCase):
    def test_as_python_is(self) -> None:
        """Else there is nothing to change."""
        self.assertGreater(outcome(settle=False)["come_and_gone"], 200)

    def test_what_comes_and_goes(self) -> None:
        """4,000 objects that come and go, over and over, are no reason to look for garbage."""
        self.assertEqual(outcome(settle=True)["come_and_gone"], 0)

    def test_garbage(self) -> None:
        """It is found all the same: what is there already at once, later garbage when there are
        some thousands. What the start made is not looked at."""
        found = outcome(settle=True)
        self.assertTrue(found["early"])
        self.assertLess(found["late"], 20_000)
        self.assertTrue(found["looked_at"])
