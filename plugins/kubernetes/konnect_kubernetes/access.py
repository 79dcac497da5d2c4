"""A client of the API server, from a kubeconfig or from what a pod finds inside its cluster."""

from __future__ import annotations

from pathlib import Path

from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import incluster_config
from kubernetes.config.config_exception import ConfigException

from konnect.extension.api import ApiAccess
from konnect.wire.token_review import shortened
from konnect_kubernetes import __version__, token_file
from konnect_kubernetes.command import Command, CommandFailed
from konnect_kubernetes.command_client import CommandClient
from konnect_kubernetes.kubeconfig import Current, current, without_command


class _Unsupported(Exception):
    """A kubeconfig that asks for what is not done here."""


def make_client(access: ApiAccess, connections: int) -> ApiClient:
    """
    A client that keeps up to `connections` connections; it sends nothing before it is asked to.

    Raises `ValueError` that says what is wrong with the settings. Of what changes on disk, the
    client reads authorities and certificates anew for each connection. For tokens in files there is
    `konnect_kubernetes.token_file`, for a kubeconfig's command `command_client`, since the client
    would wait for one for ever.
    """
    configuration = Configuration()
    path = access.kubeconfig
    where = f"kubeconfig {path}" if path else "no --kubeconfig is given, and this is not a pod"
    command: Command | None = None
    try:
        if path:
            context = _context(path)
            if context is not None and context.user.value.get("auth-provider"):
                raise _Unsupported(_instead_of(context.user.value["auth-provider"]))
            if context is not None and "exec" in context.user.value:
                config.load_kube_config_from_dict(
                    without_command(context), client_configuration=configuration
                )
                if not configuration.api_key:  # as the client does, which prefers all of these
                    command = Command(context)
            else:
                config.load_kube_config(
                    config_file=path, client_configuration=configuration, persist_config=False
                )
            file = token_file.token_file(current(path).user)
            if file is not None:
                token_file.follow(configuration, file)
        else:
            config.load_incluster_config(client_configuration=configuration)
            token_file.follow(configuration, Path(incluster_config.SERVICE_TOKEN_FILENAME))
    except (ConfigException, CommandFailed, _Unsupported) as error:
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
        client = CommandClient(configuration, command) if command else ApiClient(configuration)
    except CommandFailed as error:
        raise ValueError(f"{where}: {shortened(str(error))}") from None
    client.user_agent = f"konnect-kubernetes/{__version__}"
    return client


def _context(path: str) -> Current | None:
    """The current context of a kubeconfig; None where it has mistakes."""
    try:
        return current(path)
    except Exception:
        return None  # the client has the words for what is wrong


_INSTEAD = {"gcp": "exec with gke-gcloud-auth-plugin", "azure": "exec with kubelogin"}


def _instead_of(provider: object) -> str:
    """
    Why there is no client for a user with an `auth-provider`.

    The official client for Go has none any more but oidc, and upstream's programs do not link that
    one. The one for Python knows gcp and oidc: it would run a `cmd-path` without bounds in whatever
    thread asks, and wait for an oidc server likewise, without looking at its certificate.
    """
    name = provider.get("name") if isinstance(provider, dict) else None
    instead = _INSTEAD.get(str(name), "exec")
    return (
        f"its user has the auth-provider {shortened(str(name))}, which is not supported:"
        f" use {instead}, or a token"
    )
