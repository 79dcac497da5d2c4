"""Hostile peers on each listener are cut with a counted reason, and others are served meanwhile."""

from __future__ import annotations

from typing import Any

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from twisted.internet.endpoints import clientFromString

from konnect.wire.frames import PREFACE
from konnect.wire.packets import PROXY_PATH
from tests.functional.peers import echo
from tests.functional.raw import RawConnect, raw_connect
from tests.functional.rig import CONNECT_TLS, CONNECT_UNIX, GRPC_TLS, GRPC_UNIX, FunctionalTestCase
from tests.functional.waiting import turns, until

AGENTS = "the agents' port"
HTTP2 = (GRPC_UNIX, GRPC_TLS, AGENTS)
MANY = 2000
BEGINNING = PREFACE + SettingsFrame().serialize()


def request(stream_id: int, path: str = PROXY_PATH, more: int = 0) -> HeadersFrame:
    """A gRPC request's HEADERS, with so many bytes of a header more."""
    fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "x"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    if more:
        fields.append(("x-more", "y" * more))
    block = Encoder().encode(fields)
    return HeadersFrame(stream_id, data=block, flags=["END_HEADERS"])


def cut_in_pieces(whole: HeadersFrame) -> list[Frame]:
    """A long HEADERS frame as one and its CONTINUATION frames."""
    data = whole.data
    parts: list[Any] = [HeadersFrame(whole.stream_id, data=data[:16384])]
    parts += [
        ContinuationFrame(whole.stream_id, data=data[at : at + 16384])
        for at in range(16384, len(data), 16384)
    ]
    parts[-1].flags.add("END_HEADERS")
    return parts


def rapid_reset() -> list[Frame]:
    """Requests that are taken back at once."""
    ids = range(1, 2 * MANY, 2)
    return [frame for i in ids for frame in (request(i), RstStreamFrame(i, error_code=8))]


FLOODS: dict[str, list[Frame]] = {
    "too_many_pings": [PingFrame(opaque_data=b"12345678")] * MANY,
    "flood_settings": [SettingsFrame(settings={4: 65535})] * MANY,
    "flood_empty_data": [request(1), *[DataFrame(1)] * MANY],
    "flood_window_updates": [request(1), *[WindowUpdateFrame(1, window_increment=1)] * MANY],
    "rapid_reset": rapid_reset(),
    "protocol": [HeadersFrame(1, data=request(1).data), *[ContinuationFrame(1)] * MANY],
    "headers_too_large": cut_in_pieces(request(1, more=200_000)),
}
"""What each is counted under."""


class FloodTests(FunctionalTestCase):
    """All frontends and the agents' port."""

    def _endpoint(self, way: str) -> Any:
        proxy = self._proxies[-1]
        return proxy.agent_listener() if way == AGENTS else proxy.endpoint(way)

    async def _hostile(self, way: str, *frames: Frame | bytes) -> RawConnect:
        """A connection that has said this."""
        client = await raw_connect(self._endpoint(way))
        said = (item if isinstance(item, bytes) else item.serialize() for item in frames)
        client.transport.write(b"".join(said))
        return client

    def _cut(self) -> dict[str, int]:
        return dict(self._proxies[-1].ledger.cut)

    async def test_frames(self) -> None:
        """Floods of each kind of frame end their connection, with the reason counted; a tunnel
        that is open beside them goes on."""
        proxy, _ = await self.pair(control_rate="400", reset_rate="20")
        beside, _ = await self.tunnel(proxy, CONNECT_UNIX, self.destination(echo))
        expected: dict[str, int] = {}
        for way in HTTP2:
            for reason, frames in FLOODS.items():
                # Resets are also frames without payload; the slower of the two limits counts.
                hostile = await self._hostile(way, BEGINNING, *frames)
                await until(lambda: hostile.over, f"the end of {reason} over {way}")  # noqa: B023
                _drop(hostile)
                expected[reason] = expected.get(reason, 0) + 1
                self.assertEqual(self._cut(), expected, f"{reason} over {way}")
        beside.transport.write(b"still here")
        await until(lambda: beside.count == 10, "the tunnel beside them")
        await self.pass_a_tunnel()
        beside.transport.loseConnection()
        await self.nothing_left()

    async def pass_a_tunnel(self) -> None:
        """A new tunnel works."""
        client, _ = await self.tunnel(self._proxies[-1], GRPC_TLS, self.destination(echo))
        client.transport.write(b"ping")
        await until(lambda: client.count == 4, "an echo")
        client.transport.loseConnection()

    async def test_unread_answers(self) -> None:
        """A peer that asks and does not read the answers is cut before they fill the memory."""
        await self.pair(control_rate="0")
        hostile = await self._hostile(GRPC_UNIX, BEGINNING)
        hostile.hold()
        asked = SettingsFrame(settings={4: 65535}).serialize() * MANY
        while not self._cut():
            hostile.transport.write(asked)
            await turns(2)
        self.assertEqual(self._cut(), {"unread_answers": 1})
        _drop(hostile)
        await self.pass_a_tunnel()
        await self.nothing_left()

    async def test_silence(self) -> None:
        """Who says nothing, or too little, in time is cut; heads that trickle are no excuse."""
        proxy, _ = await self.pair(head_timeout="300ms", preface_timeout="300ms")
        said = {GRPC_UNIX: b"", GRPC_TLS: PREFACE[:9], AGENTS: b"PRI", CONNECT_UNIX: b""}
        hostile = [await self._hostile(way, text) for way, text in said.items()]
        slow = [await self._hostile(way, b"CONNECT a:1") for way in (CONNECT_UNIX, CONNECT_TLS)]
        await self.pass_a_tunnel()
        await until(lambda: all(each.over for each in hostile + slow), "the end of them all")
        self.assertEqual(dict(proxy.ledger.cut), {"silent": 4, "slow_head": 2})
        for each in hostile + slow:
            _drop(each)
        await self.nothing_left()

    async def test_crowds(self) -> None:
        """Hundreds of connections that ask for nothing keep out only each other."""
        proxy, _ = await self.pair(max_idle_connections="8")
        for way in (GRPC_UNIX, CONNECT_UNIX, AGENTS, GRPC_TLS, CONNECT_TLS):
            before = proxy.ledger.cut["crowded_out"]
            said = BEGINNING if way in HTTP2 else b""
            crowd = [await self._hostile(way, said) for _ in range(30)]
            await until(
                lambda: proxy.ledger.cut["crowded_out"] - before == 22,  # noqa: B023
                f"the rest over {way}",
            )
            await until(lambda: sum(not each.over for each in crowd) == 8, "the ends")  # noqa: B023
            self.assertTrue(crowd[0].over and not crowd[-1].over, "the longest idle goes first")
            client, _ = await self.tunnel(
                proxy, GRPC_TLS if way == AGENTS else way, self.destination(echo)
            )
            client.transport.write(b"ping")
            await until(lambda: client.count == 4, f"an echo over {way}")  # noqa: B023
            client.transport.loseConnection()
            for each in crowd:
                _drop(each)
            await until(lambda: all(each.lost for each in crowd), "the end")  # noqa: B023
        await self.nothing_left()

    async def test_crowds_before_tls(self) -> None:
        """So do those whose TLS handshake never begins."""
        proxy, _ = await self.pair(max_idle_connections="8")
        for port in (proxy.agent_port, proxy._grpc_port, proxy._connect_port):
            before = proxy.ledger.cut["crowded_out"]
            endpoint = clientFromString(self.reactor, f"tcp:127.0.0.1:{port}")
            crowd = [await raw_connect(endpoint) for _ in range(30)]
            # The last tunnel's client may be among the idle.
            await until(lambda: sum(not each.over for each in crowd) <= 8, "the rest")  # noqa: B023
            self.assertGreaterEqual(proxy.ledger.cut["crowded_out"] - before, 22)
            self.assertTrue(crowd[0].over and not crowd[-1].over, "the longest idle goes first")
            await self.pass_a_tunnel()
            for each in crowd:
                _drop(each)
            await until(lambda: all(each.lost for each in crowd), "the end")  # noqa: B023
        await self.nothing_left()

    async def test_streams(self) -> None:
        """A client that opens more streams than it may is refused those, and loses its connection
        when it goes on."""
        await self.pair(max_streams="5", reset_rate="20")
        for way in (GRPC_UNIX, GRPC_TLS):
            hostile = await self._hostile(way, BEGINNING, *[request(i) for i in range(1, 15, 2)])
            for refused in (11, 13):
                answer = RstStreamFrame(refused, error_code=7).serialize()
                await until(lambda: answer in hostile.head, "a refusal")  # noqa: B023
            self.assertFalse(hostile.over)
            more = [request(i).serialize() for i in range(15, 115, 2)]
            hostile.transport.write(b"".join(more))
            await until(lambda: hostile.over, "the end")  # noqa: B023
            _drop(hostile)
        self.assertEqual(self._cut(), {"rapid_reset": 2})
        await self.pass_a_tunnel()
        await self.nothing_left()

    async def test_heads(self) -> None:
        """A CONNECT head above the limit is refused as soon as it is, and counted."""
        await self.pair(max_head_bytes="4096")
        for number, way in enumerate((CONNECT_UNIX, CONNECT_TLS), 1):
            hostile = await self._hostile(way, b"CONNECT a:1 HTTP/1.1\r\nX: " + b"x" * 5000)
            self.assertEqual(await hostile.answer(), 431)
            self.assertEqual(self._cut(), {"bad_request": number})
            _drop(hostile)
        await self.pass_a_tunnel()
        await self.nothing_left()


def _drop(client: RawConnect) -> None:
    if client.lost is None:
        client.transport.abortConnection()
