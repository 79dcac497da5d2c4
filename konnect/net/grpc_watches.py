"""What is watched of a gRPC connection: that its peer is there, reads, and makes no flood.

`WatchedStreams` is the part of `konnect.net.grpc.GrpcProtocol` that knows these watches. Most
connections never need one of their own, so they are made when there is something to watch.
"""

from __future__ import annotations

from konnect.log import make_logger
from konnect.net.floods import FloodWatch
from konnect.net.grpc_stream import GrpcStream
from konnect.net.grpc_streams import StreamTable
from konnect.net.link_window import WholeWindow, WindowGauge, follow
from konnect.net.tls import expect_many_tunnels, expect_short_records
from konnect.net.unread import UnreadEnds
from konnect.wire.events import Ponged
from konnect.wire.status import Status

log = make_logger(__name__)


class WatchedStreams(StreamTable):
    """See the module."""

    _path: WholeWindow | WindowGauge | None = None
    _floods: FloodWatch | None = None
    heard = False
    """See `konnect.net.keepalive.Watched`."""
    quiet_ticks = 0
    lost = False
    """The connection is gone."""

    def close(self, why: str, *, abort: bool = False) -> None:
        """End the connection; `why` is what its listeners are told."""
        raise NotImplementedError

    def _look_for_floods(self) -> None:
        watch = self._floods
        if watch is None:
            terms = self._terms
            watch = self._floods = FloodWatch(terms.clock, terms.floods, self._wire.overhead)
        verdict = watch.verdict(self._wire, self._blocked)
        if verdict is not None:
            self.cut(*verdict)

    def cut(self, why: str, label: str) -> None:
        """Drop the connection for what the peer did; `label` is what it is counted under."""
        if self._closing is None:
            self._count_cut(label)
            self.close(why, abort=True)

    def _count_cut(self, label: str) -> None:
        if self._terms.on_cut is not None:
            self._terms.on_cut(label)

    def ask(self) -> None:
        """See `konnect.net.keepalive.Watched`: send a ping."""
        if self._path is not None:
            self._path.pinged()
        self._wire.ping(b"keepaliv")
        self._flush()

    def _ponged(self, event: Ponged) -> None:
        """Any byte counts as a sign of life, see `dataReceived`; this one has a time as well."""
        if self._path is not None:
            self._path.ponged()

    def _follow_path(self, stream: GrpcStream, own: bool) -> None:
        if not own:
            expect_short_records(self.transport)
        elif self._wire.role.client:
            expect_many_tunnels(self.transport)
        window = self._wire.window_of(stream.id)
        self._path = follow(self._terms.clock.seconds, self.ask, window, own=own)
        self.ask()

    def silent(self) -> None:
        """See `konnect.net.keepalive.Watched`."""
        self.close("the peer did not answer the keepalive ping", abort=True)

    def _end(self, stream: GrpcStream, status: Status, text: str) -> None:
        if self._streams.get(stream.id) is stream:
            super()._end(stream, status, text)
            if not self.lost and self._wire.queued(stream.id):
                if self._unread is None:
                    clock = self._terms.clock
                    self._unread = UnreadEnds(clock, self._wire.queued, self._drop_unread)
                self._unread.watch(stream.id)

    def _drop_unread(self, stream_id: int) -> None:
        log.info("{peer} does not read the end of a stream: dropped it", peer=self.peer)
        self._count_cut("unread_stream")
        self._wire.reset_stream(stream_id)
        self._flush()
