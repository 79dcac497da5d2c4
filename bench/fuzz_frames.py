"""Coverage-guided fuzzing of the frame splitter and what is behind it, by atheris.

    pip install atheris
    python bench/fuzz_frames.py                           until it finds something or is stopped
    python bench/fuzz_frames.py -max_total_time=600 corpus/
    python bench/fuzz_frames.py crash-0123abc             once, with what it has found

It feeds a peer's bytes to a connection: whole, in pieces, and with the memory of openings; all have
to tell the same. The streams are cut through (`tests.wire.cut_through`), in either role, or a
server's are told by events alone; what h2 says of those is compared by `tests.wire.test_beside_h2`.
The first corpus is what these tests send. Further words are libFuzzer's.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

try:
    import atheris
except ImportError:
    sys.exit("Fuzzing by coverage needs atheris: pip install atheris")

with atheris.instrument_imports(include=["konnect.wire", "h2", "hpack", "hyperframe"]):
    from konnect.wire.frames import PREFACE
    from konnect.wire.grpc import Limits, OpeningMemo, Role
    from tests.wire.cut_through import LAST, LIMITS, outcome, reads
    from tests.wire.packet_scripts import PacketScript
    from tests.wire.plain_http2 import ours
    from tests.wire.scripts import Script, as_bytes

SEEDS = 200
MEMO = OpeningMemo(Limits())
PACKETS_MEMO = OpeningMemo(LIMITS)

EVENTS, CLIENT, SERVER = range(3)
"""What is fuzzed: the first byte says which, the second how the rest is cut."""


def one(data: bytes) -> None:
    """One conversation."""
    if not 2 < len(data) < LAST:
        return
    kind, step, rest = data[0] % 3, data[1] + 1, data[2:]
    if kind == EVENTS:
        by_events(PREFACE + rest, step)
    elif kind == CLIENT:
        cut_through(rest, step, Role.CLIENT)
    else:
        cut_through(PREFACE + rest, step, Role.SERVER)


def cut_through(whole: bytes, step: int, role: Role) -> None:
    """Streams with inlets, and some without."""
    first, *others = reads(whole, step)
    found = outcome(role, first)
    for number, pieces in enumerate(others):
        memo = PACKETS_MEMO if number % 2 and role is Role.SERVER else None
        if outcome(role, pieces, memo) != found:
            raise AssertionError("what streams are told depends on how reads are cut")


def by_events(whole: bytes, step: int) -> None:
    """A server's streams without inlets."""
    found = ours([whole])
    pieces = [whole[n : n + step] for n in range(0, len(whole), step)]
    if ours(pieces) != found or ours(pieces, MEMO) != found:
        raise AssertionError("the same bytes are told in two ways")


def seeds(folder: Path) -> None:
    """Write what the tests send."""
    for seed in range(SEEDS):
        script = Script(seed)
        for name, whole in (("valid", as_bytes(script.frames)), ("wrong", script.hostile())):
            rest = whole.removeprefix(PREFACE)
            (folder / f"{name}-{seed}").write_bytes(bytes((EVENTS, seed % 8)) + rest)
        for kind, role in ((CLIENT, Role.CLIENT), (SERVER, Role.SERVER)):
            packets = PacketScript(seed, role)
            for name, whole in (("packets", packets.whole()), ("damaged", packets.damaged())):
                rest = bytes((kind, seed)) + whole.removeprefix(PREFACE)
                (folder / f"{name}-{role.value}-{seed}").write_bytes(rest)


def main() -> None:
    """Fuzz until something is found."""
    with tempfile.TemporaryDirectory(prefix="konnect-fuzz-") as folder:
        given = [word for word in sys.argv[1:] if not word.startswith("-")]
        if not any(Path(word).is_file() for word in given):
            seeds(Path(folder))
            # libFuzzer writes what is new into the first folder and only reads the others.
            sys.argv.append(folder)
        atheris.Setup(sys.argv, one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
