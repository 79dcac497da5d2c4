"""Tunnels that are over leave nothing behind that waits for the garbage collector.

Where connections come and go by the thousand a second, what each leaves in cycles is what the
collector has to walk through, again and again, while everything else waits.
"""

from __future__ import annotations

import gc
import os
from collections import Counter

from tests.functional.peers import arrived, closed, echo
from tests.functional.rig import CONNECT_UNIX, GRPC_UNIX, FunctionalTestCase
from tests.functional.waiting import until

TUNNELS = 5

PARTS = (
    "konnect.agent.",
    "konnect.net.closing.",
    "konnect.net.floods.",
    "konnect.net.grpc_server.",
    "konnect.net.hub.",
    "konnect.net.sockets.",
    "konnect.net.unread.",
    "konnect.proxy.",
    "konnect.tunnel.",
    "konnect.wire.remembered.",
)
"""Modules of which proxies and agents make something for a tunnel, and the Python client, which is
in this process too, nothing: Twisted's endpoints leave it in cycles. What else a connection at the
proxy is made of has one of these, or is had by one."""


def alive() -> Counter[str]:
    """How many objects of these modules there are, by their class."""
    kinds: Counter[type] = Counter(map(type, gc.get_objects()))
    return Counter(
        {
            f"{kind.__module__}.{kind.__qualname__}": count
            for kind, count in kinds.items()
            if str(kind.__module__).startswith(PARTS)
        }
    )


class CycleTests(FunctionalTestCase):
    """Over unix sockets, by the hub's transports: Twisted's stock ones are in cycles themselves."""

    way = GRPC_UNIX
    abortive = False

    if os.environ.get("KONNECT_TRANSPORT") == "stock":
        skip = "Twisted's own transports"

    async def test_nothing_waits_for_the_collector(self) -> None:
        """With the collector off, nothing of a tunnel is alive soon after its end."""
        proxy, _ = await self.pair()
        destination = self.destination(echo)

        async def one_tunnel() -> None:
            client, server = await self.tunnel(proxy, self.way, destination)
            client.transport.write(b"x" * 100)
            await arrived(100, client)
            if self.abortive:
                client.transport.abortConnection()
            else:
                client.transport.loseConnection()
            await closed(client, server)

        await one_tunnel()  # what the first one brings stays
        await self.nothing_left()
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        before = alive()
        for _ in range(TUNNELS):
            await one_tunnel()
        await self.nothing_left()
        try:
            await until(lambda: not alive() - before, "an end of what was a tunnel's")
        except AssertionError:
            self.fail(f"left for the collector: {alive() - before}")


class ConnectCycleTests(CycleTests):
    """CONNECT clients."""

    way = CONNECT_UNIX


class ResetCycleTests(CycleTests):
    """gRPC clients that reset their stream, so that the destination's connection is reset too."""

    abortive = True
