"""Dials destinations: names are looked up, addresses tried, the first that connects wins.

Why not Twisted's `HostnameEndpoint`: its error says neither which address was tried nor whether the
lookup or the connecting failed, and Go's texts say both. The rules are Go's: one deadline for all
of it; the families take turns; the next address is tried when one fails or has been silent for
300 ms; if all fail, the error of the first is told. How many dials run at once is not limited here,
and the socket's options are its protocol's business.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure

from konnect.agent.gotext import (
    TCP,
    AddressError,
    check_network,
    dial_error_text,
    is_domain_name,
    is_timeout,
    join_address,
    lookup_error_text,
    no_suitable_address_text,
    split_address,
    timeout_text,
)
from konnect.agent.lookup import Lookup

TIMEOUT = 5.0
"""Seconds for a whole dial (upstream's)."""

NEXT_ADDRESS_AFTER = 0.3
"""Seconds of silence after which the next address is tried beside the last one (RFC 8305 §5)."""

MAX_ADDRESSES = 32
"""Addresses of one name that are tried."""

LONGEST_KNOWN = 300
"""Characters of the longest address that is remembered: names have 253."""

EndpointMaker = Callable[[Any, str, int], IStreamClientEndpoint]
"""From a reactor, an IP address (with its zone) and a port to what connects there, for as long as
it takes: the dial has the deadline."""


class DialError(Exception):
    """The dial failed. `text` is Go's; `timed_out` says whether Go would call it a timeout."""

    def __init__(self, text: str, timed_out: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.timed_out = timed_out


def tcp_endpoint(reactor: Any, ip: str, port: int) -> IStreamClientEndpoint:
    """The stock TCP endpoint, without a timer for each attempt (which is what None asks for)."""
    endpoint = TCP6ClientEndpoint if ":" in ip else TCP4ClientEndpoint
    return endpoint(reactor, ip, port, timeout=None)  # type: ignore[arg-type]


class Dialer:
    """
    Dials for one agent.

    :param reactor: IReactorTCP, IReactorTime and IReactorPluggableNameResolver.
    :param clock: the clock of its limits; the reactor's own if None.
    :param timeout: seconds for a whole dial, lookup included.
    :param networks: what DIAL_REQ may ask for; only TCP can be dialled at all.
    :param endpoint: what connects to an IP address.
    """

    def __init__(
        self,
        reactor: Any,
        timeout: float = TIMEOUT,
        networks: Iterable[str] = TCP,
        *,
        endpoint: EndpointMaker = tcp_endpoint,
        clock: IReactorTime | None = None,
    ) -> None:
        self._reactor = reactor
        self._clock = clock or reactor
        self._timeout = timeout
        self._networks = tuple(networks)
        self._endpoint = endpoint
        if not set(self._networks) <= set(TCP):
            raise ValueError(f"networks that cannot be dialled: {set(self._networks) - set(TCP)}")

    def dial(self, protocol: str, address: str, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect `factory`'s protocol to `address` (as in DIAL_REQ, with anything a peer may write).

        Fails with `DialError`. Cancelling closes every socket and timer at once; a lookup that runs
        in a thread goes on there unheard.
        """
        where = _known if len(address) <= LONGEST_KNOWN else _known.__wrapped__
        try:
            host, port, addresses = where(self._networks, protocol, address)
        except AddressError as error:
            return fail(DialError(str(error)))
        dial = _Dial(self._reactor, self._clock, self._endpoint, protocol, host, port, factory)
        dial.begin(self._timeout, addresses)
        return dial.outcome


# Reading an address takes 21 us, finding it among those that were read before 0.6 us (measured).
@lru_cache(maxsize=1024)
def _known(
    networks: tuple[str, ...], network: str, address: str
) -> tuple[str, int, tuple[str, ...] | None]:
    """Host, port, and the IP address that the host spells (None if it is a name). Raises
    AddressError."""
    check_network(network, networks)
    host, port = split_address(network, address)
    return host, port, _literal(network, host)


def _literal(network: str, host: str) -> tuple[str, ...] | None:
    """The IP address that `host` spells, None if it is a name."""
    if not host:
        return ("::1" if network == "tcp6" else "127.0.0.1",)
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        if not is_domain_name(host):
            raise AddressError(lookup_error_text(network, host)) from None
        return None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if not _suits(network, str(ip)):
        raise AddressError(no_suitable_address_text(network, str(ip)))
    return (str(ip),)


def _suits(network: str, ip: str) -> bool:
    return network == "tcp" or (network == "tcp6") == (":" in ip)


def _in_turns(ips: list[str]) -> list[str]:
    """Both families by turns, beginning with that of the first address."""
    ips = list(dict.fromkeys(ips))[:MAX_ADDRESSES]
    same = [ip for ip in ips if (":" in ip) == (":" in ips[0])]
    other = [ip for ip in ips if ip not in same]
    turns = []
    while same or other:
        turns += [family.pop(0) for family in (same, other) if family]
    return turns


class _Dial:
    """One dial on its way. `outcome` fires once, when everything has been let go."""

    def __init__(
        self,
        reactor: Any,
        clock: IReactorTime,
        endpoint: EndpointMaker,
        network: str,
        host: str,
        port: int,
        factory: IProtocolFactory,
    ) -> None:
        self.outcome: Deferred[IProtocol] = Deferred(lambda _: self._release())
        self._reactor = reactor
        self._clock = clock
        self._endpoint = endpoint
        self._network = network
        self._host = host
        self._port = port
        self._factory = factory
        self._lookup: Lookup | None = None
        self._waiting: list[str] = []
        self._attempts: dict[int, Deferred[IProtocol]] = {}
        self._failures: dict[int, DialError] = {}
        self._tried = ""
        self._begun = 0
        self._over = False
        self._deadline: IDelayedCall | None = None
        self._next: IDelayedCall | None = None

    def begin(self, timeout: float, ips: Sequence[str] | None) -> None:
        """Start: with the addresses, or by looking the host up when there are none."""
        self._deadline = self._clock.callLater(timeout, self._expired)
        if ips is not None:
            self._race(ips)
            return
        self._lookup = Lookup(self._looked_up)
        try:
            self._reactor.nameResolver.resolveHostName(
                self._lookup, self._host, self._port, transportSemantics="TCP"
            )
        except Exception:
            self._fail(Failure())

    def _looked_up(self, ips: list[str]) -> None:
        self._lookup = None
        suitable = [ip for ip in ips if _suits(self._network, ip)]
        if suitable:
            self._race(_in_turns(suitable))
        elif ips:
            self._fail(DialError(no_suitable_address_text(self._network, self._host)))
        else:
            self._fail(DialError(lookup_error_text(self._network, self._host)))

    def _race(self, ips: Sequence[str]) -> None:
        self._waiting.extend(ips)
        self._tried = ips[0]
        self._try_next()

    def _shown(self, ip: str) -> str:
        # Go shows this machine, when no host was given, as no host.
        return join_address(ip if self._host else "", self._port)

    def _try_next(self) -> None:
        self._cancel_next()
        ip = self._waiting.pop(0)
        number = self._begun
        self._begun += 1
        attempt = self._endpoint(self._reactor, ip, self._port).connect(self._factory)
        self._attempts[number] = attempt
        if self._waiting:
            self._next = self._clock.callLater(NEXT_ADDRESS_AFTER, self._try_next)
        attempt.addCallbacks(
            self._connected,
            self._attempt_failed,
            callbackArgs=(number,),
            errbackArgs=(number, ip),
        )

    def _connected(self, protocol: IProtocol, number: int) -> None:
        del self._attempts[number]
        self._release()
        self.outcome.callback(protocol)

    def _attempt_failed(self, failure: Failure, number: int, ip: str) -> None:
        if self._over:
            return
        del self._attempts[number]
        error = failure.value
        if not isinstance(error, ConnectError | OSError):
            self._fail(failure)  # not the network's doing: the factory's, or a mistake of ours
            return
        text = dial_error_text(self._network, self._shown(ip), error)
        self._failures[number] = DialError(text, is_timeout(error))
        if self._waiting:
            self._try_next()
        elif not self._attempts:
            self._fail(self._failures[min(self._failures)])

    def _expired(self) -> None:
        self._deadline = None
        if self._failures:
            self._fail(self._failures[min(self._failures)])
        elif self._tried:
            shown = self._shown(self._tried)
            self._fail(DialError(timeout_text(self._network, shown), timed_out=True))
        else:
            text = lookup_error_text(self._network, self._host, "i/o timeout")
            self._fail(DialError(text, timed_out=True))

    def _fail(self, error: DialError | Failure) -> None:
        self._release()
        self.outcome.errback(error)

    def _cancel_next(self) -> None:
        call, self._next = self._next, None
        if call is not None and call.active():
            call.cancel()

    def _release(self) -> None:
        """Let go of everything but the outcome."""
        self._over = True
        self._cancel_next()
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()
        lookup, self._lookup = self._lookup, None
        if lookup is not None:
            lookup.abandon()
        self._waiting.clear()
        attempts, self._attempts = self._attempts, {}
        for attempt in attempts.values():
            attempt.cancel()
