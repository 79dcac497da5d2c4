"""How both frontends get their tunnels: choose a link, ask it, bound the wait."""

from __future__ import annotations

from konnect.proxy.link import AgentLink
from konnect.tunnel.ends import End
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.reasons import Reason
from konnect.tunnel.routing import Registry
from konnect.tunnel.tunnel import Tunnel
from konnect.wire.packets import Packet


class Switchboard:
    """
    Opens tunnels for the frontends.

    :param dial_timeout: seconds that an agent has to answer a dial; 0: no limit (upstream's
    default).
    :param buffer_limit: bytes waiting for slow readers above which new dials are refused; 0: none.
    """

    def __init__(
        self,
        registry: Registry[AgentLink],
        ledger: Ledger,
        *,
        dial_timeout: float,
        buffer_limit: int = 0,
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._dial_timeout = dial_timeout
        self._buffer_limit = buffer_limit
        self.closing = False

    def dial(self, near: End, request: Packet) -> Tunnel:
        """
        Begin a tunnel for `near`; `request` is its DIAL_REQ. The outcome is told to `near`
        (`opened` or `failed`), perhaps before this returns.
        """
        address = request.dialRequest.address
        tunnel = Tunnel(self._ledger, near, address)
        if self.closing:
            tunnel.fail(Reason.SHUTDOWN, "the proxy is shutting down")
            return tunnel
        if self._buffer_limit and self._ledger.buffered > self._buffer_limit:
            tunnel.fail(Reason.OVERLOADED)
            return tunnel
        link = self._registry.choose(address)
        if link is None:
            tunnel.fail(Reason.NO_AGENT)
            return tunnel
        link.dial(tunnel, request, self._dial_timeout)
        return tunnel
