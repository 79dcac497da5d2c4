"""Coverage-guided fuzzing of the frame splitter and what is behind it, by atheris.

    pip install atheris
    python bench/fuzz_frames.py                           until it finds something or is stopped
    python bench/fuzz_frames.py -max_total_time=600 corpus/
    python bench/fuzz_frames.py crash-0123abc             once, with what it has found

It feeds clients' bytes to a server's connection: whole, in pieces, and with the memory of openings;
the three have to tell the same. What h2 alone says is compared by `tests.wire.test_beside_h2`. The
first corpus is what those tests send. Further words are libFuzzer's.
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
    from konnect.wire.grpc import Limits, OpeningMemo
    from tests.wire.plain_http2 import ours
    from tests.wire.scripts import Script, as_bytes

SEEDS = 200
MEMO = OpeningMemo(Limits())


def one(data: bytes) -> None:
    """The first byte says how the rest is cut."""
    if not data:
        return
    step = data[0] + 1
    whole = PREFACE + data[1:]
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
            (folder / f"{name}-{seed}").write_bytes(bytes((seed % 8,)) + rest)


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
