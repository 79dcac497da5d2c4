"""The endpoint that is the hub's own: TLS clients."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from konnect.net.hub.facts import Socket, address_of
from konnect.net.hub.loop import Hub
from konnect.net.hub.reactor import HubReactor
from konnect.net.hub.tls import TlsTransport
from konnect.net.hub.transport import StreamTransport
from konnect.net.tcp import be_prompt
from konnect.net.tls import ClientTls


@implementer(IStreamClientEndpoint)
class TlsClientEndpoint:
    """
    Connects as `plain` does, and speaks TLS then.

    :param plain: an endpoint over the same HubReactor, such as a HostnameEndpoint: finding the
        address that answers is its work, and the socket is taken from it.
    """

    def __init__(self, reactor: HubReactor, tls: ClientTls, plain: IStreamClientEndpoint) -> None:
        self._hub = reactor.hub
        self.tls = tls
        self._plain = plain

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint; fires before the handshake, as Twisted's."""
        finder = Factory.forProtocol(Protocol)
        finder.noisy = False
        factory.doStart()
        connecting = self._plain.connect(finder)
        connecting.addCallback(self._secure, factory)
        connecting.addErrback(_stopped, factory)
        return connecting

    def _secure(self, found: Any, factory: IProtocolFactory) -> IProtocol:
        sock, peer = found.transport.detach()
        try:
            be_prompt(sock)
            protocol = _built(factory, peer)
            transport = TlsTransport(
                self._hub,
                sock,
                protocol,
                peer,
                self.tls,
                prompt=True,
                on_lost=lambda _: factory.doStop(),
            )
        except BaseException:
            _close(self._hub, sock, peer)
            raise
        transport.begin()
        return cast(IProtocol, protocol)


def _built(factory: IProtocolFactory, peer: tuple[int, Any]) -> Any:
    protocol = factory.buildProtocol(address_of(*peer))
    if protocol is None:
        raise NoProtocol()
    return protocol


def _close(hub: Hub, sock: Socket, peer: tuple[int, Any]) -> None:
    """Close a socket that the hub may still serve."""
    StreamTransport(hub, sock, None, peer).discard()


def _stopped(failure: Any, factory: IProtocolFactory) -> Any:
    factory.doStop()
    return failure
