"""Tests of konnect.net.sockets: a socket as a tunnel's end, in every state it can be in."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from konnect.net import closing, sockets
from konnect.net.closing import POLL
from konnect.net.deadlines import Deadlines
from konnect.net.sockets import DISCARD, LEAST, LINGER, PATIENCE, WATCH, SocketEnd
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.reasons import Reason
from konnect.tunnel.tunnel import State, Tunnel
from tests.fakes import FakeEnd, FakeSocket


class EndProtocol(Protocol):
    """The protocol of a socket, which tells the end all."""

    end: SocketEnd

    def dataReceived(self, data: bytes) -> None:
        self.end.received(data)

    def readConnectionLost(self) -> None:
        """See IHalfCloseableProtocol."""
        self.end.read_ended()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.end.lost(isinstance(reason.value, ConnectionDone))


class DestinationSocket(SocketEnd):
    """The socket of a destination."""

    ended_reason = Reason.DESTINATION_CLOSED
    lost_reason = Reason.DESTINATION_LOST


class Shared:
    """What it shares with others."""

    def __init__(self, ledger: Ledger, clock: IReactorTime) -> None:
        self.ledger = ledger
        self.clock = clock
        self.lingering: Deadlines[SocketEnd] = Deadlines(clock, LINGER, SocketEnd.lingered)


class SocketTestCase(SynchronousTestCase):
    """A tunnel whose far end is a socket; the near end takes notes."""

    tls = False

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(self.clock.seconds)
        self.socket = FakeSocket(tls=self.tls, limit=10)
        protocol = EndProtocol()
        self.socket.connect(protocol)
        self.end = protocol.end = DestinationSocket(self.socket, Shared(self.ledger, self.clock))
        self.end.attach()
        self.near = FakeEnd()
        self.tunnel = Tunnel(self.ledger, self.near, "host:80")
        self.tunnel.opened(self.end)
        self.near.take()

    def tearDown(self) -> None:
        if not self.socket.gone:
            self.socket.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.ledger.live, 0)
        self.assertEqual(self.ledger.buffered, 0)


class RelayTests(SocketTestCase):
    """Bytes both ways."""

    def test_read(self) -> None:
        """What is read goes to the other end."""
        self.socket.deliver(b"x")
        self.assertEqual(self.near.take(), [("write", b"x")])

    def test_full(self) -> None:
        """A full transport pauses the other end; what it still gives waits in order."""
        self.end.write(b"a" * 11)
        self.assertEqual(self.near.take(), [("pause",)])
        self.end.write(b"b")
        self.end.write(b"c")
        self.assertEqual(self.socket.take(), [("write", b"a" * 11)])
        self.assertEqual(self.ledger.buffered, 2)
        self.socket.drain()
        self.assertEqual(self.socket.take(), [("write", b"b"), ("write", b"c")])
        self.assertEqual(self.ledger.buffered, 0)
        self.assertEqual(self.near.take(), [("resume",)])

    def test_full_again(self) -> None:
        """A backlog that fills the transport again resumes nobody."""
        for data in (b"a" * 11, b"b" * 11, b"c" * 11):
            self.end.write(data)
        self.near.take()
        self.socket.drain()
        self.assertEqual(self.near.take(), [("pause",)])
        self.socket.drain()
        self.assertEqual(self.near.take(), [("pause",)])
        self.socket.drain()
        self.assertEqual(self.near.take(), [("resume",)])
        self.assertEqual(self.socket.written, b"a" * 11 + b"b" * 11 + b"c" * 11)

    def test_drained(self) -> None:
        """The other end is told what of its backlog has left."""
        drained: list[int] = []
        self.near.drained = lambda count: drained.append(count)  # type: ignore[method-assign]
        for data in (b"a" * 11, b"bb", b"ccc"):
            self.end.write(data)
        self.socket.drain()
        self.assertEqual(drained, [2, 3])

    def test_paused_by_the_other(self) -> None:
        """The other end decides whether the socket is read."""
        self.end.pause()
        self.assertFalse(self.socket.reading)
        self.end.resume()
        self.assertTrue(self.socket.reading)

    def test_no_read_behind_the_end(self) -> None:
        """A socket whose peer has ended is not read again."""
        self.socket.deliver_fin()
        self.end.pause()
        self.end.resume()
        self.assertFalse(self.socket.reading)

    def test_producer_without_a_tunnel(self) -> None:
        """A transport may call when the tunnel is over."""
        self.tunnel.close(Reason.CLIENT_CLOSED)
        self.end.pauseProducing()
        self.end.resumeProducing()
        self.end.stopProducing()


class EndTests(SocketTestCase):
    """EOF, close, loss."""

    def test_peer_ends(self) -> None:
        """The peer's FIN ends one direction; the other goes on."""
        self.socket.deliver_fin()
        self.assertEqual(self.near.take(), [("finish",)])
        self.assertIs(self.tunnel.state, State.OPEN)
        self.end.write(b"late")
        self.assertEqual(self.socket.take(), [("write", b"late")])

    def test_finish(self) -> None:
        """The other end's EOF becomes our FIN, behind what waits; reading goes on."""
        self.end.write(b"a" * 11)
        self.end.write(b"b")
        self.near.take()
        self.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.assertEqual(self.socket.take(), [("write", b"a" * 11), ("write", b"b"), "FIN"])
        self.assertEqual(self.near.take(), [("resume",)], "what was paused holds nothing more")
        self.socket.deliver(b"answer")
        self.assertEqual(self.near.take(), [("write", b"answer")])
        self.socket.deliver_fin()
        self.assertEqual(self.near.take(), [("close", Reason.CLIENT_CLOSED)])
        self.assertEqual(self.socket.take(), ["close"])

    def test_close(self) -> None:
        """A close hands over what waits, sends FIN and waits for the peer's."""
        self.end.write(b"a" * 11)
        self.end.write(b"b")
        self.end.pause()
        self.tunnel.close(Reason.CLIENT_CLOSED)
        self.assertEqual(self.socket.take(), [("write", b"a" * 11), ("write", b"b"), "FIN"])
        self.assertTrue(self.socket.reading, "else the peer's end would not be seen")
        self.socket.deliver_fin()
        self.assertEqual(self.socket.take(), ["close"])

    def test_close_behind_the_peers_end(self) -> None:
        """When the peer has ended already, there is nothing to wait for."""
        self.socket.deliver_fin()
        self.tunnel.close(Reason.DESTINATION_CLOSED)
        self.assertEqual(self.socket.take(), ["close"])

    def test_nobody_is_there(self) -> None:
        """A socket whose peer is seen to be gone is closed at once, and needs no limit."""
        self.socket.hung_up = True  # type: ignore[attr-defined]
        self.socket.deliver_fin()
        self.assertEqual(self.tunnel.reason, Reason.DESTINATION_CLOSED)
        self.assertEqual(self.socket.take(), ["close"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_linger(self) -> None:
        """A peer that does not end in time is dropped."""
        self.tunnel.close(Reason.CLIENT_CLOSED)
        self.clock.advance(LINGER - 0.1)
        self.assertEqual(self.socket.take(), ["FIN"])
        self.clock.advance(0.2)
        self.assertEqual(self.socket.take(), ["abort"])

    def look(self, left: int) -> bool:
        """A linger time is over, and so many bytes are left; whether it was dropped."""
        self.socket.unwritten = left
        self.clock.advance(LINGER)
        return "abort" in self.socket.take()

    def test_slow(self) -> None:
        """A peer that takes what is left for it, slowly, gets all of it."""
        self.tunnel.close(Reason.DESTINATION_CLOSED)
        left = 10 * LEAST
        self.assertFalse(self.look(left))
        while left > LEAST:
            left -= LEAST
            self.assertFalse(self.look(left))
            self.assertFalse(self.look(left), "in jumps")
        self.assertTrue(self.look(0))

    def test_taken_nothing(self) -> None:
        """One that takes nothing has twice the time, since the first look finds what there is."""
        self.tunnel.close(Reason.DESTINATION_CLOSED)
        self.assertFalse(self.look(10 * LEAST))
        self.assertTrue(self.look(10 * LEAST))

    def stops(self, each: int) -> None:
        """A slow peer that then takes `each` bytes at a time, too few to be called slow."""
        self.tunnel.close(Reason.DESTINATION_CLOSED)
        left = 10 * LEAST
        self.assertFalse(self.look(left + LEAST))
        self.assertFalse(self.look(left))
        looks = 1
        while not self.look(left - each * looks):
            looks += 1
        self.assertEqual(looks, PATIENCE)

    def test_slow_and_stopped(self) -> None:
        """A slow peer that stops is dropped in the end."""
        self.stops(0)

    def test_slower_and_slower(self) -> None:
        """So is one that takes next to nothing."""
        self.stops(LEAST // (PATIENCE + 1))

    def test_discard(self) -> None:
        """A peer that goes on talking is dropped after some bytes that nobody wants."""
        self.tunnel.close(Reason.CLIENT_CLOSED)
        self.near.take()
        self.socket.deliver(b"x" * DISCARD)
        self.assertEqual(self.socket.take(), ["FIN"])
        self.socket.deliver(b"x")
        self.assertEqual(self.socket.take(), ["abort"])
        self.assertEqual(self.near.take(), [])

    def test_lost(self) -> None:
        """A broken socket ends the tunnel with its own reason; an ordinary end with another."""
        self.end.write(b"a" * 11)
        self.end.write(b"b")
        self.socket.lose(ConnectionLost())
        self.assertEqual(self.near.take()[-1], ("close", Reason.DESTINATION_LOST))
        self.assertEqual(self.ledger.buffered, 0)

    def test_lost_cleanly(self) -> None:
        """A connection that ends whole, as TLS does, is an ordinary end."""
        self.socket.lose()
        self.assertEqual(self.near.take(), [("close", Reason.DESTINATION_CLOSED)])

    def test_nothing_after_the_loss(self) -> None:
        """Every call on a lost end does nothing."""
        self.socket.lose()
        self.socket.take()
        self.end.pause()
        self.end.resume()
        self.end.finish()
        self.end.abort()
        self.end.close(Reason.CLIENT_CLOSED)
        self.end.read_ended()
        self.assertEqual(self.socket.take(), [])

    def test_abort(self) -> None:
        """An abort drops the socket and ends the tunnel."""
        self.end.abort()
        self.assertEqual(self.socket.take(), ["abort"])
        self.assertIs(self.tunnel.state, State.CLOSED)

    def test_limit(self) -> None:
        """An answer that does not come in time is given up, whatever the tunnel waits for."""
        self.socket.deliver_fin()
        self.end.limit_close()
        self.end.limit_close()
        self.clock.advance(LINGER)
        self.assertEqual(self.near.take(), [("finish",), ("close", Reason.LINGER)])
        self.assertEqual(self.socket.take(), [])
        self.socket.drain()
        self.assertEqual(self.socket.take(), ["abort"])

    def test_limit_ends_with_the_tunnel(self) -> None:
        """The limit of an answer gives way to that of the close."""
        self.socket.deliver_fin()
        self.end.limit_close()
        self.clock.advance(LINGER - 1)
        self.tunnel.close(Reason.CLIENT_CLOSED)
        self.clock.advance(LINGER - 1)
        self.assertEqual(self.socket.take(), ["close"])
        self.clock.advance(2)
        self.assertEqual(self.socket.take(), ["abort"])


class AbortiveTests(SocketTestCase):
    """Ends that are resets."""

    def test_behind_the_bytes(self) -> None:
        """The reset comes when everything written before has left, also what waited."""
        self.end.write(b"a" * 11)
        self.end.write(b"b")
        self.tunnel.close(Reason.CLIENT_LOST)
        self.assertEqual(self.socket.take(), [("write", b"a" * 11), ("write", b"b")])
        self.socket.drain()
        self.assertEqual(self.socket.take(), ["abort"])

    def test_kernel_buffer(self) -> None:
        """Bytes that the kernel still has to send are waited for."""
        unsent = [3]
        self.patch(closing, "unsent", lambda transport: unsent[0])
        self.tunnel.close(Reason.CLIENT_LOST)
        self.socket.drain()
        self.clock.advance(POLL)
        self.assertEqual(self.socket.take(), [])
        unsent[0] = 0
        self.clock.advance(POLL)
        self.assertEqual(self.socket.take(), ["abort"])

    def test_gone_meanwhile(self) -> None:
        """A socket that is lost while its kernel still sends leaves nothing."""
        self.patch(closing, "unsent", lambda transport: 1)
        self.tunnel.close(Reason.CLIENT_LOST)
        self.socket.drain()
        self.socket.lose(ConnectionLost())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_limit(self) -> None:
        """A peer that takes nothing is reset after the linger time, bytes or not."""
        self.end.write(b"a")
        self.tunnel.close(Reason.CLIENT_LOST)
        self.clock.advance(LINGER)
        self.assertEqual(self.socket.take(), [("write", b"a"), "abort"])

    def test_peer_ends_meanwhile(self) -> None:
        """A FIN of the peer does not make an ordinary end of it."""
        self.end.write(b"a")
        self.tunnel.close(Reason.CLIENT_LOST)
        self.socket.deliver_fin()
        self.assertEqual(self.socket.take(), [("write", b"a")])
        self.socket.drain()
        self.assertEqual(self.socket.take(), ["abort"])


class ConditionTestCase(SocketTestCase):
    """A socket that is in whatever `condition` the kernel would tell of."""

    def setUp(self) -> None:
        super().setUp()
        self.condition = ""
        for name in ("broken", "hung_up", "ended_whole"):
            self.patch(sockets, name, lambda transport, name=name: self.condition == name)


class WatchTests(ConditionTestCase):
    """A socket that is not read does not say that its peer is gone."""

    def setUp(self) -> None:
        super().setUp()
        self.end.pause()

    def test_all_is_well(self) -> None:
        """A paused socket is looked at now and then, until it is read again."""
        self.clock.pump([WATCH] * 3)
        self.assertIs(self.tunnel.state, State.OPEN)
        self.end.pause()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.end.resume()
        self.clock.advance(WATCH)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_reset(self) -> None:
        """A peer that has reset the connection ends the tunnel."""
        self.condition = "broken"
        self.clock.advance(WATCH)
        self.assertEqual(self.near.take(), [("close", Reason.DESTINATION_LOST)])

    def test_closed(self) -> None:
        """A peer that has closed ends it after a while: its last bytes may be wanted."""
        self.condition = "hung_up"
        self.clock.advance(WATCH)
        self.assertEqual(self.near.take(), [])
        self.clock.advance(LINGER)
        self.assertEqual(self.near.take(), [("close", Reason.LINGER)])

    def test_tunnel_over(self) -> None:
        """Behind the tunnel's end there is nothing to watch."""
        self.tunnel.close(Reason.CLIENT_CLOSED)
        self.condition = "broken"
        self.clock.advance(WATCH)
        self.assertEqual(self.near.take(), [("close", Reason.CLIENT_CLOSED)])

    def test_closed_and_read(self) -> None:
        """A peer that has closed is not waited for when its end is read."""
        self.end.resume()
        self.condition = "hung_up"
        self.socket.deliver_fin()
        self.assertEqual(self.near.take(), [("close", Reason.DESTINATION_CLOSED)])


class AbortiveReadTests(SocketTestCase):
    """An abortive end waits until what was written is out, but not for a peer that waits too."""

    def test_reads_on(self) -> None:
        """A peer that sends its rest before it reads ours is let to, up to a bound."""
        self.end.pause()
        self.end.write(b"a")
        self.tunnel.close(Reason.CLIENT_LOST)
        self.socket.deliver(b"x" * DISCARD)
        self.assertEqual(self.socket.take(), [("write", b"a")])
        self.socket.deliver(b"x")
        self.assertEqual(self.socket.take(), ["abort"])

    def test_closed_again(self) -> None:
        """What is about to be reset cannot be closed as if it were whole."""
        self.tunnel.close(Reason.SHUTDOWN)
        self.end.close(Reason.CLIENT_CLOSED)
        self.assertEqual(self.socket.take(), [])
        self.socket.drain()
        self.assertEqual(self.socket.take(), ["abort"])


class EndedTests(ConditionTestCase):
    """A socket that was read to its end does not say either that its peer is gone."""

    def setUp(self) -> None:
        super().setUp()
        self.socket.deliver_fin()
        self.assertEqual(self.near.take(), [("finish",)])

    def test_still_there(self) -> None:
        """A peer that only ended its side is waited for, as long as it likes."""
        self.clock.pump([WATCH] * 100)
        self.assertIs(self.tunnel.state, State.OPEN)

    def test_reset(self) -> None:
        """A reset behind the peer's end ends the tunnel as lost."""
        self.condition = "broken"
        self.clock.advance(WATCH)
        self.assertEqual(self.near.take(), [("close", Reason.DESTINATION_LOST)])

    def test_closed(self) -> None:
        """A peer that has closed whole (a unix socket) reads no answer: the tunnel is over."""
        self.condition = "hung_up"
        self.clock.advance(WATCH)
        self.assertEqual(self.near.take(), [("close", Reason.DESTINATION_CLOSED)])

    def test_ended_whole(self) -> None:
        """A TLS peer that ended TCP too has the linger time to read the rest."""
        self.condition = "ended_whole"
        self.clock.advance(WATCH)
        self.assertEqual(self.near.take(), [])
        self.clock.advance(LINGER)
        self.assertEqual(self.near.take(), [("close", Reason.LINGER)])


class TlsTests(SocketTestCase):
    """Twisted's TLS has no half-close."""

    tls = True

    def test_finish(self) -> None:
        """The other end's EOF is the tunnel's end."""
        self.end.write(b"a")
        self.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.assertEqual(self.near.take(), [("close", Reason.CLIENT_CLOSED)])
        self.assertEqual(self.socket.take(), [("write", b"a"), "close"])

    def test_close(self) -> None:
        """A close is close_notify, and the socket is read on for the peer's."""
        self.end.pause()
        self.tunnel.close(Reason.CLIENT_CLOSED)
        self.assertEqual(self.socket.take(), ["close"])
        self.assertTrue(self.socket.reading)

    def test_ending_below(self) -> None:
        """A transport that ends by itself must lose its producer, or it would stay for ever."""
        self.end.write(b"a" * 11)
        self.near.take()
        self.socket.transport.disconnecting = True
        self.socket.drain()
        self.assertIsNone(self.socket.producer)
        self.assertEqual(self.near.take(), [])
