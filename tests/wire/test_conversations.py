"""Two connections do anything that two connections may do, and no byte is lost or mixed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.events import ConnectionEnded, Event, MessageReceived, StreamEnded, StreamOpened
from konnect.wire.grpc import GrpcConnection, Limits, Role
from konnect.wire.status import Status
from tests.wire.pump import PATH, only, payloads

SMALL = Limits(stream_window=2000, connection_window=65535, send_high=3000, send_low=500)

SIDE = st.sampled_from([0, 1])
STREAM = st.integers(0, 3)
STEP = st.one_of(
    st.tuples(st.just("open")),
    st.tuples(st.just("send"), SIDE, STREAM, st.integers(0, 5000)),
    st.tuples(st.just("send"), SIDE, STREAM, st.integers(0, 30)),
    st.tuples(st.just("carry"), SIDE, st.integers(1, 4000)),
    st.tuples(st.just("acknowledge"), SIDE),
    st.tuples(st.just("end"), SIDE, STREAM),
    st.tuples(st.just("reset"), SIDE, STREAM),
    st.tuples(st.just("goaway"), SIDE),
)


class Side:
    """One connection, what it has sent and heard, and bytes on their way to the other one."""

    def __init__(self, role: Role) -> None:
        self.wire = GrpcConnection(role, SMALL)
        self.wire.start()
        self.events: list[Event] = []
        self.unacknowledged: list[MessageReceived] = []
        self.sent: dict[int, list[bytes]] = {}
        self.on_the_way = b""

    def flush(self) -> None:
        self.on_the_way += self.wire.output()
        self.events += self.wire.pending()

    def hear(self, data: bytes) -> None:
        events = self.wire.receive(data)
        self.events += events
        self.unacknowledged += only(events, MessageReceived)

    def acknowledge(self) -> None:
        for message in self.unacknowledged:
            self.wire.acknowledge(message.stream_id, message.cost)
        self.unacknowledged.clear()

    @property
    def ended(self) -> set[int]:
        return {event.stream_id for event in only(self.events, StreamEnded)}


class Conversation:
    """Carries out steps on a client and a server."""

    def __init__(self) -> None:
        self.client = Side(Role.CLIENT)
        self.server = Side(Role.SERVER)
        self.sides = (self.client, self.server)
        self.streams: list[int] = []
        self.cut: set[int] = set()  # streams that were reset, or may have been refused
        self.done: set[tuple[int, int]] = set()  # (side, stream) that have ended
        self.leaving = False
        for n in (0, 1, 0, 1):
            self.carry(n, 1 << 30)

    def run(self, steps: list[tuple[str | int, ...]]) -> None:
        for name, *arguments in steps:
            getattr(self, str(name))(*arguments)

    def open(self) -> None:
        if len(self.streams) < 4 and not self.leaving:
            wire = self.client.wire
            stream_id = wire.open_stream(PATH, (), authority="a", scheme="http")
            self.streams.append(stream_id)

    def send(self, side: int, stream: int, size: int) -> None:
        stream_id, mine = self.pick(stream), self.sides[side]
        if stream_id is None or (side, stream_id) in self.done or stream_id in mine.ended:
            return
        if side == 1 and not self.known(stream_id):
            return
        message = b"%d:%d:" % (side, stream_id) + b"x" * size
        mine.sent.setdefault(stream_id, []).append(message)
        mine.wire.send_message(stream_id, message)

    def carry(self, side: int, size: int) -> None:
        mine, other = self.sides[side], self.sides[1 - side]
        mine.flush()
        data, mine.on_the_way = mine.on_the_way[:size], mine.on_the_way[size:]
        other.hear(data)

    def acknowledge(self, side: int) -> None:
        self.sides[side].acknowledge()

    def end(self, side: int, stream: int) -> None:
        stream_id = self.pick(stream)
        if stream_id is not None and (side == 0 or self.known(stream_id)):
            self.done.add((side, stream_id))
            self.sides[side].wire.end_stream(stream_id)
            if side == 1:
                # What the client sends from now on is not for anyone.
                self.cut.add(stream_id)

    def reset(self, side: int, stream: int) -> None:
        stream_id = self.pick(stream)
        if stream_id is not None and (side == 0 or self.known(stream_id)):
            self.cut.add(stream_id)
            self.done |= {(0, stream_id), (1, stream_id)}
            self.sides[side].wire.reset_stream(stream_id)

    def goaway(self, side: int) -> None:
        self.leaving = True
        if side == 1:
            self.cut |= {i for i in self.streams if not self.known(i)}
        self.sides[side].wire.goaway()

    def settle(self) -> None:
        """Carry and acknowledge until both sides are silent."""
        while True:
            for side in self.sides:
                side.acknowledge()
                side.flush()
            if not any(side.on_the_way for side in self.sides):
                return
            for n in (0, 1):
                self.carry(n, 1 << 30)

    def pick(self, stream: int) -> int | None:
        return self.streams[stream] if stream < len(self.streams) else None

    def known(self, stream_id: int) -> bool:
        return any(e.stream_id == stream_id for e in only(self.server.events, StreamOpened))


class ConversationTests(SynchronousTestCase):
    @given(st.lists(STEP, max_size=60))
    @settings(max_examples=300)
    def test_anything(self, steps: list[tuple[str | int, ...]]) -> None:
        """Messages arrive whole, in order, once; the streams that nobody cut, to the last one."""
        talk = Conversation()
        talk.run(steps)
        talk.settle()
        for mine, other in ((talk.client, talk.server), (talk.server, talk.client)):
            self.assertEqual(only(mine.events, ConnectionEnded), [])
            for stream_id, sent in mine.sent.items():
                heard = payloads(other.events, stream_id)
                self.assertEqual(heard, sent[: len(heard)])
                if stream_id not in talk.cut:
                    self.assertEqual(len(heard), len(sent))
            ends = [event.stream_id for event in only(mine.events, StreamEnded)]
            self.assertEqual(len(ends), len(set(ends)))
        for stream_id in talk.streams:
            live = [side.wire.queued(stream_id) for side in talk.sides]
            self.assertEqual(live, [0, 0])
        self.assertEqual(talk.client.wire.live_streams, talk.server.wire.live_streams)

    @given(st.lists(STEP, max_size=40))
    def test_the_end(self, steps: list[tuple[str | int, ...]]) -> None:
        """When the connection is lost, each stream has ended once for each owner, or by it."""
        talk = Conversation()
        talk.run(steps)
        opened = talk.streams, [e.stream_id for e in only(talk.server.events, StreamOpened)]
        for n, side in enumerate(talk.sides):
            side.events += side.wire.connection_lost()
            self.assertEqual(side.wire.live_streams, 0)
            ends = only(side.events, StreamEnded)
            self.assertEqual(len({e.stream_id for e in ends}), len(ends))
            by_itself = {i for i in opened[n] if (n, i) in talk.done}
            self.assertEqual({e.stream_id for e in ends} | by_itself, set(opened[n]))
            for end in ends:
                self.assertIsInstance(end.status, Status)
