"""Tests of konnect.net.hub.tls_connection: both ways do the same, and ours is the quick one."""

from __future__ import annotations

import socket

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.hub import tls_connection
from konnect.net.hub.reads import LINK_RECORDS, RECORD, RECORDS
from konnect.net.hub.tls_connection import DirectConnection, PlainConnection
from konnect.net.tls import client_context, server_context
from tests.certificates import pki


class DirectTests(SynchronousTestCase):
    """OpenSSL's own calls."""

    kind: type[PlainConnection] = DirectConnection

    def setUp(self) -> None:
        files = pki()
        server = server_context(files.frontend_cert, files.frontend_key, None)
        client = client_context("127.0.0.1", files.frontend_ca)
        self.sockets = socket.socketpair()
        for sock in self.sockets:
            sock.setblocking(False)
            self.addCleanup(sock.close)
        ours, theirs = self.sockets
        self.ours = self.kind(server.context, ours)
        self.theirs = self.kind(client.context, theirs)
        self.ours.set_accept_state()
        self.theirs.set_connect_state()
        for _ in range(4):
            for end in (self.theirs, self.ours):
                try:
                    end.do_handshake()
                except SSL.WantReadError:
                    pass

    def test_nothing(self) -> None:
        data, stopped = self.ours.read_records(RECORDS, 0)
        self.assertEqual(data, b"")
        self.assertIsInstance(stopped, SSL.WantReadError)

    def test_records(self) -> None:
        """Up to the first short one, up to so many, and up to the last."""
        for size in (RECORD, RECORD, 700, RECORD):
            self.assertEqual(self.theirs.write_records(bytes(size)), size)
        data, stopped = self.ours.read_records(RECORDS, RECORD)
        self.assertEqual((len(data), stopped), (2 * RECORD + 700, None))
        data, stopped = self.ours.read_records(RECORDS, 0)
        self.assertEqual(len(data), RECORD)
        self.assertIsInstance(stopped, SSL.WantReadError)
        for letter in b"abc":
            self.theirs.write_records(memoryview(bytes([letter]) * 5)[1:])
        self.assertEqual(self.ours.read_records(2, 0), (b"aaaabbbb", None))
        self.assertEqual(self.ours.read_records(2, 4)[0], b"cccc")

    def test_no_more_than_there_is_room_for(self) -> None:
        """Whatever is asked for."""
        for _ in range(LINK_RECORDS + 2):
            self.theirs.write_records(b"x")
        data, _ = self.ours.read_records(LINK_RECORDS + 2, 0)
        self.assertEqual(len(data), LINK_RECORDS)

    def test_what_is_read_is_kept(self) -> None:
        """The next read takes nothing away of what the last one gave."""
        self.theirs.write_records(b"first")
        first, _ = self.ours.read_records(1, 0)
        self.theirs.write_records(b"other")
        self.ours.read_records(1, 0)
        self.assertEqual(first, b"first")

    def test_full(self) -> None:
        """A write that the kernel refuses raises, and goes on when it is given again."""
        data = bytes(range(256)) * 4096
        taken = 0
        refused = False
        got = b""
        for _ in range(1000):
            try:
                taken += self.theirs.write_records(data)
                if refused:
                    break
            except SSL.WantWriteError:
                refused = True
                got += self.ours.read_records(RECORDS, 0)[0]
        while len(got) < taken:
            got += self.ours.read_records(RECORDS, 0)[0]
        self.assertTrue(refused)
        self.assertEqual(got, data * (taken // len(data)))

    def test_ends(self) -> None:
        """What came before an end is given with it; close_notify and a lost peer are told apart."""
        self.theirs.write_records(b"last words")
        self.theirs.shutdown()
        data, stopped = self.ours.read_records(RECORDS, 0)
        self.assertEqual(data, b"last words")
        self.assertIsInstance(stopped, SSL.ZeroReturnError)
        self.setUp()
        self.theirs.write_records(b"last words")
        self.sockets[1].close()
        data, stopped = self.ours.read_records(RECORDS, 0)
        self.assertEqual(data, b"last words")
        assert type(stopped) in (SSL.Error, SSL.SysCallError), stopped
        with self.assertRaises(SSL.Error):
            self.ours.write_records(b"x")

    def test_garbage(self) -> None:
        """What is no record is OpenSSL's error, with its reason."""
        self.sockets[1].send(b"GET / HTTP/1.1\r\n\r\n" * 20)
        data, stopped = self.ours.read_records(RECORDS, 0)
        self.assertEqual(data, b"")
        assert type(stopped) is SSL.Error
        self.assertTrue(stopped.args[0][0][2])


class PlainTests(DirectTests):
    """pyOpenSSL's public calls, should it hide the others one day."""

    kind = PlainConnection


class ChoiceTests(SynchronousTestCase):
    def test_ours(self) -> None:
        """With the pyOpenSSL that is installed, the quick way is to be had."""
        self.assertIs(tls_connection.Connection, DirectConnection)
