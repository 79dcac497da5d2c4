"""A client of the API server, from a kubeconfig or from what a pod finds inside its cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.config.config_exception import ConfigException

from konnect.extension.api import ApiAccess
from konnect.wire.token_review import shortened
from konnect_kubernetes import __version__, token_file
from konnect_kubernetes.command_certificate import RenewingClient
from konnect_kubernetes.kubeconfig import Current, current


def make_client(access: ApiAccess, connections: int) -> ApiClient:
    """
    A client that keeps up to `connections` connections; it sends nothing before it is asked to.

    Raises `ValueError` that says what is wrong with the settings. Of credentials that change, the
    client reads a pod's token anew every minute, and runs a kubeconfig's command again when the
    token that it gave is near its end. For a kubeconfig's `tokenFile` there is
    `konnect_kubernetes.token_file`, for a command's certificate `command_certificate`.
    """
    configuration = Configuration()
    path = access.kubeconfig
    where = f"kubeconfig {path}" if path else "no --kubeconfig is given, and this is not a pod"
    found: Current | None = None
    """With a command that gave a certificate."""
    try:
        if path:
            with _complaints() as complaints:
                config.load_kube_config(
                    config_file=path, client_configuration=configuration, persist_config=False
                )
            if complaints and not (configuration.api_key or configuration.cert_file):
                # Without anything to show the client would not run the command again either.
                raise ConfigException(complaints[0])
            context = current(path)
            file = token_file.token_file(context.user)
            if file is not None:
                token_file.follow(configuration, file)
            if "exec" in context.user.value and not (complaints or configuration.api_key):
                found = context
        else:
            config.load_incluster_config(client_configuration=configuration)
    except ConfigException as error:
        raise ValueError(f"{where}: {shortened(str(error))}") from None
    except OSError as error:
        raise ValueError(f"{where}: {error.strerror or error}") from None
    except Exception as error:
        # What a parser says may quote the file, and with it a key.
        raise ValueError(f"{where}: not a kubeconfig ({type(error).__name__})") from None
    # Ours are the tries and the pauses between them; the client would repeat in the thread.
    configuration.retries = False
    configuration.connection_pool_maxsize = connections
    try:
        client = RenewingClient(configuration, found) if found else ApiClient(configuration)
    except ValueError:
        raise ValueError(f"{where}: what its command gave is no certificate") from None
    client.user_agent = f"konnect-kubernetes/{__version__}"
    return client


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What the client logs of credentials that it could not get, in the place of raising it."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    ear = Ear(logging.ERROR)
    root = logging.getLogger()
    root.addHandler(ear)
    try:
        yield heard
    finally:
        root.removeHandler(ear)
