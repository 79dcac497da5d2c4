"""A storm as a test: when it fails, it tells how to repeat it and what was done before."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tests.functional.rig import FunctionalTestCase
from tests.functional.storm import Storm


class StormTestCase(FunctionalTestCase):
    """Base of what runs one storm."""

    storm: Storm | None = None

    def replay(self, seed: int) -> str:
        """The command line that repeats a storm with this seed."""
        raise NotImplementedError

    async def pass_over(
        self, seed: int, seconds: float, least: Mapping[str, int] | None = None
    ) -> Storm:
        """The storm with this seed, from its beginning to its end (see `Storm`); fails if anything
        is wrong."""
        self.storm = Storm(self, seed, seconds, least or {})
        await self.storm.run()
        self.assertEqual(self.storm.wrong, [])
        return self.storm

    def run(self, result: Any) -> None:  # type: ignore[override]
        """Run it; also what comes behind it, in the clean-up, may fail."""
        before = len(_problems(result))
        super().run(result)
        problems = _problems(result)[before:]
        if self.storm is not None and problems:
            again = _environment() + self.replay(self.storm.seed)
            wrong = "\n".join(problems)
            self.tell(f"{wrong}\nWhat led there:\n{self.storm.story}\nto repeat it: {again}")

    def tell(self, text: str) -> None:
        """Say so of a storm that has failed."""
        print(f"\n{text}", flush=True)


def _problems(result: Any) -> list[str]:
    """What was wrong so far: a run that is cut off later never comes to say it."""
    return [failure.getErrorMessage() for _, failure in [*result.errors, *result.failures]]


def _environment() -> str:
    """What of the environment decides which code runs."""
    return "".join(
        f"{name}={os.environ[name]} " for name in ("KONNECT_TRANSPORT",) if os.environ.get(name)
    )
