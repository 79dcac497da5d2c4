"""What a transport holds: bytes written to it that the kernel has not taken.

The hub's transports say so. Twisted's say it by the buffers of their base classes; a transport that
says nothing counts as empty. What TLS holds between the two is less than a record.
"""

from __future__ import annotations

from typing import Any

from twisted.protocols.policies import ProtocolWrapper


def unwritten(transport: Any) -> int:
    """Bytes that wait in `transport`, None for one that is gone."""
    size = getattr(transport, "unwritten", None)
    if size is not None:
        return int(size)
    total = 0
    while isinstance(transport, ProtocolWrapper):
        # Twisted's TLS keeps what was written while its socket takes no more.
        total += sum(map(len, getattr(transport, "_appSendBuffer", ())))
        transport = transport.transport
    total += len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    return max(0, total + getattr(transport, "_tempDataLen", 0))
