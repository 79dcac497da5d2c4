"""Tests of konnect.proxy.randoms."""

from __future__ import annotations

import os
from itertools import islice

from twisted.trial.unittest import SynchronousTestCase

from konnect.proxy.randoms import randoms


class RandomsTests(SynchronousTestCase):
    """Numbers that nobody can guess."""

    def test_different(self) -> None:
        """None comes twice, none has more than 63 bits, and all bits are used."""
        numbers = list(islice(randoms(), 1000))
        self.assertEqual(len(set(numbers)), 1000)
        self.assertTrue(all(0 <= number < 2**63 for number in numbers))
        for bit in range(63):
            self.assertEqual(len({number >> bit & 1 for number in numbers}), 2, bit)

    def test_the_kernels(self) -> None:
        """They are what the kernel gives, which is asked only when there are none left."""
        asked: list[int] = []

        def urandom(size: int) -> bytes:
            asked.append(size)
            return bytes([len(asked)]) * size

        self.patch(os, "urandom", urandom)
        numbers = randoms()
        self.assertEqual(asked, [])
        first = list(islice(numbers, 128))
        self.assertEqual((set(first), len(asked)), ({0x0101010101010101 >> 1}, 1))
        self.assertEqual((next(numbers), len(asked)), (0x0202020202020202 >> 1, 2))
