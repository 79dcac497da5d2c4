"""A proxy on grpcio that serves its clients as a stock one does: one after the other.

What upstream's `pkg/server/server.go` does with an agent's stream, and no more of it: a reader, a
queue of ten packets, and one worker that writes to the client of each, however long that takes.
Tunnels are found by the agent's id and their connectID, on whichever stream of that agent a packet
comes. Clients here are socket pairs, of which the test has one end.
"""

from __future__ import annotations

import queue
import secrets
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any

from konnect.pb.konnect_pb2 import Packet
from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.interop.grpcio_streams import WAIT, GrpcioProxy, Link

QUEUE = 10
"""Packets, as --xfr-channel-size is by default."""


class StockLink(Link):
    """One stream of an agent."""

    def __init__(self, clients: StockClients, *stream: Any) -> None:
        super().__init__(*stream)
        self._clients = clients

    def pump(self, messages: Iterator[bytes]) -> None:
        """Read into the queue that the worker empties."""
        waiting: queue.Queue[Packet | None] = queue.Queue(QUEUE)
        worker = threading.Thread(target=self._work, args=(waiting,), daemon=True)
        worker.start()
        try:
            for message in messages:
                waiting.put(packets.parse(message))
        except Exception:  # as grpcio says that the stream is over
            pass
        finally:
            self.over.set()
            waiting.put(None)

    def _work(self, waiting: queue.Queue[Packet | None]) -> None:
        agent = self.metadata["agentid"][0]
        while (packet := waiting.get()) is not None:
            connect_id = self._clients.handle(agent, packet)
            if connect_id:
                self.send(packets.close_req(connect_id))


class StockClients:
    """All clients, whichever stream their packets come by."""

    def __init__(self) -> None:
        self._dials: dict[int, tuple[socket.socket, queue.SimpleQueue[int]]] = {}
        self._open: dict[tuple[str, int], socket.socket] = {}
        self._writing: defaultdict[socket.socket, threading.Lock] = defaultdict(threading.Lock)

    def expect(self, random: int, client: socket.socket) -> queue.SimpleQueue[int]:
        """A dial's client; its connectID is put into what this returns."""
        opened: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._dials[random] = client, opened
        return opened

    def handle(self, agent: str, packet: Packet) -> int:
        """One packet, to its end. Answers the connectID of DATA for no tunnel, or 0."""
        kind = int(packet.type)
        if kind == PacketType.DIAL_RSP:
            answer = packet.dialResponse
            client, opened = self._dials.pop(answer.random)
            self._open[agent, answer.connectID] = client
            opened.put(answer.connectID)
        elif kind == PacketType.DATA:
            reader = self._open.get((agent, packet.data.connectID))
            if reader is None:
                return int(packet.data.connectID)
            with self._writing[reader]:  # as Go has it for each connection
                try:
                    reader.sendall(packet.data.data)
                except OSError:
                    pass
        elif kind == PacketType.CLOSE_RSP:
            gone = self._open.pop((agent, packet.closeResponse.connectID), None)
            if gone is not None:
                gone.shutdown(socket.SHUT_RDWR)  # under the writes that may wait
                gone.close()
        return 0


class StockProxy(GrpcioProxy):
    """See the module."""

    def __init__(self) -> None:
        self._clients = StockClients()
        super().__init__(kind=partial(StockLink, self._clients))

    def open(self, link: Link, address: str) -> tuple[int, socket.socket]:
        """A tunnel: its connectID, and its client."""
        ours, theirs = socket.socketpair()
        ours.settimeout(WAIT)
        random = secrets.randbits(62)
        opened = self._clients.expect(random, theirs)
        link.send(packets.dial_req("tcp", address, random))
        return opened.get(timeout=WAIT), ours
