"""The process at the far end of a tunnel: small servers, each on a loopback port of its own.

Run as a program (`python destination.py`) it prints one JSON line that maps each kind to its
port and serves until its standard input ends, so it can never outlive the test run that started
it. It is written on asyncio alone: what the tunnels are tested with shares no code with them.

Kinds:

- `echo` returns what it gets and closes when its peer has finished;
- `banner` speaks first (`BANNER`), then echoes;
- `digest` reads an 8-byte length and that many bytes, answers with their SHA-256, closes;
- `burst` sends `BURST` bytes of the pattern at once and closes;
- `flood` sends until it is cut off;
- `silent` accepts, reads and never says a word;
- `unread` accepts and never reads, and the kernel keeps little for it;
- `count` reads and never answers;
- `full` has a full accept queue: a dial to it neither fails nor succeeds;
- `http` answers HTTP/1 requests: `/success`, `/bytes/N`, `/live` (open connections by kind),
  `/counted` (bytes so far: `taken` by `count`, sent by `flood` as `flooded`).
"""

from __future__ import annotations

import asyncio
import collections
import hashlib
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable

BANNER = b"220 konnect test destination, speaking first\r\n"
BURST = 300_000
PATTERN = bytes(range(251))
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

live: collections.Counter[str] = collections.Counter()
counted: collections.Counter[str] = collections.Counter()


def pattern(length: int) -> bytes:
    """`length` bytes whose period, a prime, divides no buffer size: a lost piece shows."""
    return (PATTERN * (length // len(PATTERN) + 1))[:length]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()


async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(BANNER)
    await echo(reader, writer)


async def digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    left = int.from_bytes(await reader.readexactly(8), "big")
    total = hashlib.sha256()
    while left and (chunk := await reader.read(min(left, 65536))):
        total.update(chunk)
        left -= len(chunk)
    writer.write(total.hexdigest().encode())


async def burst(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(pattern(BURST))


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    chunk = pattern(65536)
    while True:
        writer.write(chunk)
        await writer.drain()
        counted["flooded"] += len(chunk)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        pass


async def unread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert isinstance(writer.transport, asyncio.Transport)
    writer.transport.pause_reading()
    await asyncio.Event().wait()


async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        counted["taken"] += len(chunk)


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await reader.readuntil(b"\r\n\r\n")
    path = request.split(b" ", 2)[1].decode().partition("?")[0]
    status, body = "200 OK", b"hello through the tunnel\n"
    if path == "/live":
        body = json.dumps(live).encode()
    elif path == "/counted":
        body = json.dumps(counted).encode()
    elif path.startswith("/bytes/"):
        body = pattern(int(path.removeprefix("/bytes/")))
    elif path != "/success":
        status, body = "404 Not Found", b"no such page\n"
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)


def full_queue() -> tuple[int, list[socket.socket]]:
    """A port whose accept queue is full, and the sockets that keep it so."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    kept = [listener]
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        kept.append(filler)
    return listener.getsockname()[1], kept


async def serve() -> None:
    ports: dict[str, int] = {}
    servers = []
    running: set[object] = set()  # asyncio itself holds on to tasks only weakly
    for answer in (echo, banner, digest, burst, flood, silent, unread, count, http):

        async def connected(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer = answer
        ) -> None:
            task = asyncio.current_task()
            running.add(task)
            live[answer.__name__] += 1
            try:
                await answer(reader, writer)
                writer.close()
                await writer.wait_closed()
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                writer.transport.abort()
            finally:
                live[answer.__name__] -= 1
                running.discard(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 20)
        listener = server.sockets[0]
        ports[answer.__name__] = listener.getsockname()[1]
        if answer is unread:
            # Loopback's own would take megabytes of each connection, which take long to fill.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        servers.append(server)
    ports["full"], kept = full_queue()
    print(json.dumps(ports), flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    for held in kept:
        held.close()
    # Connections that never end by themselves are left to the kernel.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(serve())
