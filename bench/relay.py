"""A long path on one machine: a TCP relay that gives everything on after a delay, as it came.

    python bench/relay.py LISTEN TARGET SECONDS      ports of 127.0.0.1, and the delay of each way

It limits no rate and loses nothing: what it shows is how much two programs dare to have on their
way. Between it and either program there is no delay, so that the kernel's windows do not count. It
runs until it is ended.
"""

from __future__ import annotations

import asyncio
import sys

READ = 256 * 1024
"""Bytes of one read."""

READS = 2048
"""Reads that are on their way at most in one direction; more wait in the sender's kernel."""


async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, delay: float) -> None:
    """Everything that comes from `source`, and its end, `delay` seconds later."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(READS)

    async def arrive() -> None:
        data = b"-"
        while data:
            due, data = await under_way.get()
            await asyncio.sleep(due - loop.time())
            if data:
                target.write(data)
                await target.drain()
        target.close()

    arriving = asyncio.ensure_future(arrive())
    data = b"-"
    while data:
        try:
            data = await source.read(READ)
        except ConnectionError:
            data = b""
        await under_way.put((loop.time() + delay, data))
    await asyncio.gather(arriving, return_exceptions=True)


async def main(listen: int, target: int, delay: float) -> None:
    """Relay connections to the port `target`."""

    async def accept(source: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            answers, target_writer = await asyncio.open_connection("127.0.0.1", target, limit=READ)
        except OSError:
            back.close()
            return
        await asyncio.gather(carry(source, target_writer, delay), carry(answers, back, delay))

    server = await asyncio.start_server(accept, "127.0.0.1", listen, limit=READ)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
