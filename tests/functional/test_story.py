"""Tests of tests.functional.story: bounded, in order, and still once something is wrong."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.story import DISASTERS, OTHERS, Story


class StoryTests(SynchronousTestCase):
    """What is told."""

    def told(self, story: Story) -> list[str]:
        """Without the times."""
        return [line.split("s  ", 1)[1] for line in str(story).splitlines()]

    def test_order(self) -> None:
        """Disasters stand where they happened among what others did."""
        story = Story()
        story.note("a")
        story.disaster("b")
        story.note("c")
        self.assertEqual(self.told(story), ["a", "b", "c"])

    def test_bounded(self) -> None:
        """The latest are kept; a crowd of clients pushes out no disaster."""
        story = Story()
        for number in range(DISASTERS + 1):
            story.disaster(f"disaster {number}")
        for number in range(OTHERS + 1):
            story.note(f"note {number}")
        told = self.told(story)
        self.assertEqual(len(told), DISASTERS + OTHERS)
        self.assertEqual((told[0], told[-1]), ("disaster 1", f"note {OTHERS}"))

    def test_frozen(self) -> None:
        """What comes behind the first fault is not told."""
        story = Story()
        story.note("wrong")
        story.freeze()
        story.note("and more")
        story.disaster("and worse")
        self.assertEqual(self.told(story), ["wrong"])
