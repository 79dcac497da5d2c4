"""Tests of konnect.net.unwritten: what transports hold."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from twisted.internet.abstract import FileDescriptor
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.unwritten import unwritten


class UnwrittenTests(SynchronousTestCase):
    """Transports of every kind."""

    def descriptor(self, sends: int) -> FileDescriptor:
        """What Twisted's transports are made of; its kernel takes `sends` bytes at a time."""
        reactor: Any = Mock()
        transport: Any = FileDescriptor(reactor)
        transport.connected = True
        transport.writeSomeData = lambda data: sends
        return transport  # type: ignore[no-any-return]

    def test_stock(self) -> None:
        """Twisted's: what was written, less what the kernel has taken."""
        transport = self.descriptor(40)
        transport.write(b"x" * 100)
        self.assertEqual(unwritten(transport), 100)
        transport.doWrite()
        transport.write(b"y" * 7)
        self.assertEqual(unwritten(transport), 67)

    def test_wrapped(self) -> None:
        """Below TLS and other wrappers there is a socket's transport."""
        wrapper: Any = ProtocolWrapper(WrappingFactory(Mock()), Protocol())
        wrapper.transport = self.descriptor(0)
        wrapper.transport.write(b"x" * 30)
        wrapper._appSendBuffer = [b"abc", b"de"]
        self.assertEqual(unwritten(wrapper), 35)

    def test_the_hub(self) -> None:
        """The hub's say it themselves."""
        self.assertEqual(unwritten(Mock(unwritten=12)), 12)

    def test_others(self) -> None:
        """What is gone, or says nothing, counts as empty."""
        self.assertEqual(unwritten(None), 0)
        self.assertEqual(unwritten(StringTransport()), 0)
