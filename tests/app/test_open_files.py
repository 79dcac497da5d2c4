"""Tests of konnect.app.open_files."""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from konnect.app import open_files


class OpenFilesTests(SynchronousTestCase):
    """The limits of this process are left alone."""

    def setUp(self) -> None:
        self.asked: list[tuple[int, tuple[int, int]]] = []

    def limits(self, soft: int, hard: int) -> None:
        self.patch(resource, "getrlimit", lambda _: (soft, hard))
        self.patch(resource, "setrlimit", lambda *args: self.asked.append(args))

    def test_raised(self) -> None:
        """The soft limit becomes the hard one."""
        self.limits(1024, 4096)
        open_files.take_all()
        self.assertEqual(self.asked, [(resource.RLIMIT_NOFILE, (4096, 4096))])

    def test_nothing_to_raise(self) -> None:
        self.limits(4096, 4096)
        open_files.take_all()
        self.assertEqual(self.asked, [])

    def test_refused(self) -> None:
        """A kernel that refuses is no reason not to start."""
        self.limits(1024, resource.RLIM_INFINITY)

        def refuse(*_: object) -> None:
            raise ValueError("not allowed to raise maximum limit")

        self.patch(resource, "setrlimit", refuse)
        open_files.take_all()
