"""Listeners of a program: bound before anything runs, closed with everything they accepted."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.python.failure import Failure
from twisted.python.log import callWithContext

from konnect.app.describe import unix_path
from konnect.log import make_logger
from konnect.net.given import server_endpoint
from konnect.net.renewal import Renewal
from konnect.net.tls import explain
from konnect.net.unix import UnixPathError, prepare

log = make_logger(__name__)


class CannotListen(Exception):
    """A listener could not be opened; the text names it and says why."""


class Listeners:
    """
    The open ports of one program.

    :param renewal: what follows the certificates of those with TLS.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        delete_existing_sockets: bool = True,
        renewal: Renewal | None = None,
    ) -> None:
        self._reactor = reactor
        self._renewal = renewal
        self._delete_existing = delete_existing_sockets
        self._ports: list[tuple[str, IListeningPort]] = []

    def open(
        self, name: str, description: str, factory: IProtocolFactory, *, reactor: Any = None
    ) -> None:
        """
        Listen where the endpoint string `description` says; `reactor`: on this one instead.

        Raises `CannotListen` for what is known at once: a wrong string, an unusable certificate or
        socket path, a taken port.
        """
        try:
            path = unix_path(description)
            if path is not None:
                prepare(path, self._delete_existing)
            endpoint = server_endpoint(reactor or self._reactor, description)
            listening = quietly(endpoint.listen, factory)
        except UnixPathError as error:
            raise CannotListen(f"{name}: {error}") from error
        except Exception as error:
            raise CannotListen(
                f"{name} ({where(description)}): {explain(Failure(error))}"
            ) from error
        failures: list[Failure] = []
        listening.addCallbacks(lambda port: self._opened(name, port), failures.append)
        if failures:
            text = f"{name} ({where(description)}): {explain(failures[0])}"
            raise CannotListen(text) from failures[0].value
        if self._renewal is not None:
            self._renewal.follow(f"{name} {where(description)}", endpoint)

    def open_optional(self, name: str, description: str, factory: IProtocolFactory) -> None:
        """As `open`, for health and admin ports: a failure is only logged. As upstream, a program
        that cannot be asked for its health still does its work."""
        try:
            self.open(name, description, factory)
        except CannotListen as error:
            log.error("cannot listen: {error}; going on without it", error=error)

    def _opened(self, name: str, port: IListeningPort) -> None:
        self._ports.append((name, port))
        log.info("{name} listens at {at}", name=name, at=_address(port.getHost()))

    def ports(self, name: str) -> list[IListeningPort]:
        """The open ports of the listener called `name`."""
        return [port for known, port in self._ports if known == name]

    def close(self, *, spare: Collection[str] = ()) -> Deferred[Any]:
        """Stop listening, except on the listeners called as in `spare`; done when the ports are
        closed."""
        chosen = [item for item in self._ports if item[0] not in spare]
        self._ports = [item for item in self._ports if item not in chosen]
        waits = [Deferred.fromCoroutine(_stop(port)) for _, port in chosen]
        return DeferredList(waits, consumeErrors=True)


def quietly(listen: Callable[..., Any], *arguments: Any) -> Any:
    """
    Call what listens, without Twisted's own line about it: who called says more in a line of ours.

    Factories can be told not to be noisy, ports of the stock reactor cannot.
    """
    # What no observer finds a text in, none writes.
    return callWithContext({"log_format": "", "log_text": ""}, listen, *arguments)


def _address(host: Any) -> object:
    """An IP address with its port, or the path of a socket."""
    if hasattr(host, "port"):
        return f"[{host.host}]:{host.port}" if ":" in host.host else f"{host.host}:{host.port}"
    path = getattr(host, "name", host)
    return path.decode(errors="replace") if isinstance(path, bytes) else path


async def _stop(port: IListeningPort) -> None:
    stopped = port.stopListening()
    if stopped is not None:
        await stopped


def where(description: str) -> str:
    """The part of an endpoint string that says where, without file names: `mtls:8090`."""
    return ":".join(description.replace("\\:", "\0").split(":")[:2]).replace("\0", ":")
