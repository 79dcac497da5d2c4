"""What an agent does when a stock proxy waits for a client that reads nothing.

A stock proxy hands an agent's packets to its clients in the loop that takes them from the agent's
stream (upstream, `pkg/server/server.go`): all tunnels, and all new dials, wait for the client that
does not read. On that stream nothing more can be said. But each of an agent's streams has such a
loop, on the same connection too, and all find a tunnel by the agent's id and its connectID. So:

1. A second stream asks after one tunnel and the next, the likeliest first (`konnect.tunnel.trail`),
   with a DATA packet that has no bytes, and a packet for a tunnel that is none, which the proxy
   answers. Its writes to one client wait for each other. So where no answer comes, it is the one.
2. A third stream ends that tunnel. The proxy closes the client's connection, under the writes that
   wait for it, and all goes on with the next packet. No other tunnel loses a byte.

That is done again while nothing moves: another client may not read either.

Against a stock frontend for gRPC it is of no use, since the third stream waits as well, and would
do harm: to upstream's client a DATA packet without bytes is the end of the stream. Which frontend a
proxy has, an agent is not told. But that client always reads, and gives up a tunnel whose own
reader has not for 10 seconds. So whatever --stall-timeout is, nothing is asked before a link has
stood still for longer than that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from konnect.agent.side_stream import SideStream
from konnect.log import make_logger
from konnect.net.grpc_stream import GrpcStream, StreamListener
from konnect.tunnel.later import Delayed, Later
from konnect.tunnel.reasons import Reason
from konnect.wire import packets
from konnect.wire.events import StreamRefused

if TYPE_CHECKING:
    from konnect.agent.link import ProxyLink

log = make_logger(__name__)

QUEUE = 13
"""Packets that a stock proxy has read and not handed on while it waits: ten of its
--xfr-channel-size, those on either side of that queue, and one of which a part is read."""

NOBODY = 2**62
"""The first of the connectIDs that no tunnel has."""

OTHERS_PATIENCE = 15.0
"""Seconds in which upstream's gRPC client has given up the tunnel (after 10), and all goes on."""

ACCEPTED_WITHIN = 10.0
"""Seconds that the proxy has to accept a stream."""

ANSWER_WITHIN = 2.0
"""Seconds in which a proxy answers that does not wait."""


class Unblocking:
    """
    For one link.

    :param open_stream: opens another stream of the same agent on the link's connection.
    """

    def __init__(
        self,
        link: ProxyLink,
        open_stream: Callable[[StreamListener], GrpcStream],
        later: Later,
    ) -> None:
        self._link = link
        self._open = open_stream
        self._later = later
        self._call: Delayed | None = None
        self._streams: list[SideStream] = []
        self._suspects: list[int] = []
        self._suspect = self._asked = 0
        self._cut: set[int] = set()

    def told(self, waiting: int) -> None:
        """The proxy takes nothing, and so many tunnels wait; 0: it takes again."""
        peer = self._link.stream.peer
        if not waiting:
            log.info("the proxy at {peer} takes what is sent again", peer=peer)
            self.stop()
            return
        log.warn(
            "the proxy at {peer} has taken nothing for {seconds:g} seconds, and {waiting} tunnels"
            " wait: most likely one of its clients reads nothing, and the proxy waits for that",
            peer=peer,
            seconds=self._link.flow.stall_timeout,
            waiting=waiting,
        )
        if self._link.is_stock and not self._streams:
            self._cut.clear()
            self._set_limit(max(0, OTHERS_PATIENCE - self._link.flow.stall_timeout), self._again)

    def stop(self) -> None:
        """The link goes on, or is over, or nothing helps: let go of the other streams."""
        self._set_limit(None)
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.end()

    def _set_limit(self, seconds: float | None, late: Callable[[], None] | None = None) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if seconds is not None and late is not None:

            def due() -> None:
                self._call = None
                late()

            self._call = self._later(seconds, due)

    def _next_stream(self, accepted: Callable[[], None]) -> None:
        try:
            self._streams.append(SideStream(self._open, accepted, self._answered, self._give_up))
        except StreamRefused as error:
            self._give_up(str(error))
            return
        why = f"it accepts no other stream within {ACCEPTED_WITHIN:g} seconds"
        self._set_limit(ACCEPTED_WITHIN, lambda: self._give_up(why))

    def _give_up(self, why: str) -> None:
        if not self._link.lost:
            log.warn(
                "found no tunnel to cut for the others at the proxy at {peer}: {why}",
                peer=self._link.stream.peer,
                why=why,
            )
        self.stop()

    # -- the second stream: for whom does it wait?

    def _begin(self) -> None:
        self._suspects = self._link.suspects(QUEUE)[::-1]
        self._ask()

    def _ask(self) -> None:
        if not self._link.held_up:
            self.stop()
        elif not self._suspects:
            self._give_up("it waits for none of them")
        else:
            self._suspect = self._suspects.pop()
            self._asked += 1
            question = packets.data(NOBODY + self._asked, b"?")
            self._streams[0].send(packets.no_data(self._suspect), question)
            self._set_limit(ANSWER_WITHIN, self._unanswered)

    def _answered(self, connect_id: int) -> None:
        if connect_id == NOBODY + self._asked and len(self._streams) == 1:
            self._ask()

    def _unanswered(self) -> None:
        if not self._link.held_up:
            self.stop()
        elif self._suspect in self._cut:
            self._give_up("it waits on for one that was cut")
        else:
            self._next_stream(self._end)

    # -- the third: end that one

    def _end(self) -> None:
        link, suspect = self._link, self._suspect
        self._cut.add(suspect)
        self._streams[1].send(packets.close_rsp(suspect, ""))
        end = link.ends.get(suspect)
        tunnel = end.tunnel if end is not None else None
        log.warn(
            "cutting the tunnel to {address}: its client reads nothing, and the proxy at {peer}"
            " lets all others wait for it",
            address=tunnel.address if tunnel is not None else "a destination that has ended it",
            peer=link.stream.peer,
        )
        if tunnel is not None:
            tunnel.close(Reason.STALLED)
        self._set_limit(ANSWER_WITHIN, self._again)

    def _again(self) -> None:
        self.stop()
        if self._link.held_up:
            self._next_stream(self._begin)
