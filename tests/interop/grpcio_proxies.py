"""The test case of an agent of ours whose proxy is grpcio's."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.interop.grpcio_streams import GrpcioProxy, Link
from tests.interop.pairs import Agent, InteropTestCase


class GrpcioProxyTestCase(InteropTestCase):
    """A grpcio server and one agent of ours."""

    def serve(self, greet: Any = None) -> GrpcioProxy:
        server = GrpcioProxy(greet)
        self.addCleanup(server.stop)
        return server

    def linked(self, **flags: str) -> tuple[Link, Agent, GrpcioProxy]:
        """An agent connected to a grpcio proxy."""
        server = self.serve()
        agent = self.agent(server.port, healthy=False, **flags)
        return server.accept(), agent, server

    def dial(self, link: Link, kind: str) -> int:
        """An open tunnel to a kind of destination: its connectID."""
        random = secrets.randbits(62)
        link.send(packets.dial_req("tcp", self.destination[kind], random))
        answer = link.receive(PacketType.DIAL_RSP).dialResponse
        self.assertEqual((answer.error, answer.random), ("", random))
        self.assertGreater(answer.connectID, 0)
        return int(answer.connectID)

    def assert_echoes(self, link: Link, tunnel: int, word: bytes = b"still there?") -> None:
        link.send(packets.data(tunnel, word))
        self.assertEqual(link.receive_bytes(tunnel, len(word)), word)

    def assert_closes(self, link: Link, tunnel: int) -> None:
        link.send(packets.close_req(tunnel))
        closed = link.receive(PacketType.CLOSE_RSP).closeResponse
        self.assertEqual((closed.connectID, closed.error), (tunnel, ""))


def half_open(agent: Agent, port: int) -> int:
    """How many connections to a loopback port of the destination are being established.

    Source: proc_net_tcp(5), state 02 is SYN_SENT. The fillers of the full queue may be among them:
    their number is constant, since they belong to the destination process, and not counted: only
    sockets that the agent's process holds are.
    """
    descriptors = Path(f"/proc/{agent.program.process.pid}/fd")
    held = set()
    for entry in descriptors.iterdir():
        try:
            held.add(str(entry.readlink()))
        except OSError:
            continue
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        remote, state, inode = fields[2], fields[3], fields[9]
        if state == "02" and remote == f"0100007F:{port:04X}" and f"socket:[{inode}]" in held:
            count += 1
    return count
