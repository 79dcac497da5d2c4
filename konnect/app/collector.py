"""When Python looks for garbage: seldom, and never among what was there at the start.

Tunnels end without the garbage collector; it is there for cycles that we overlooked and for those
of others' code. By default Python collects whenever 700 more objects were made than freed, which a
few dozen tunnels that come and go reach all the time, and now and then it looks at all objects.
With 64 gRPC clients that connect and leave, that took 39 ms of each second of the proxy, and kept
all tunnels waiting for up to 35 ms; while 4,000 gRPC tunnels were opened, for 82 ms. With the
thresholds below it never ran in the first case, and took 12 ms at most in the second (measured in
the running programs).
"""

from __future__ import annotations

import gc

THRESHOLDS = 10_000, 5, 20
"""Objects made and not freed until the young are looked at (1.3 ms); how often until what they
leave is (50,000 objects, 12 ms); how often that until everything is, but for the start's."""


def settle() -> None:
    """The start is over: what is there now stays, and is passed over from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
