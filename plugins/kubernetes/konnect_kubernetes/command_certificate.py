"""A certificate that a kubeconfig's command gives, and gives anew before it ends: the official
client runs the command once for it, and again only for tokens."""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from cryptography import x509
from kubernetes.client import ApiClient, Configuration
from kubernetes.config.exec_provider import ExecProvider
from kubernetes.config.kube_config import ConfigNode

from konnect.log import make_logger
from konnect.wire.token_review import shortened
from konnect_kubernetes.kubeconfig import Current

log = make_logger(__name__)

EARLY = 300.0
"""Seconds before its end in which a certificate is replaced, as the client does with tokens."""

wall = time.time


class RenewingClient(ApiClient):  # type: ignore[misc]
    """
    Looks at its certificate before each request, in the request's thread.

    A command that fails leaves everything as it is, and is run for the next request again. What
    the client has read already must be the certificate of a command: raises ValueError if it is
    none.
    """

    rest_client: Any

    def __init__(self, configuration: Configuration, current: Current) -> None:
        certificate = Path(configuration.cert_file).read_bytes()
        self._ends = _end_of(certificate)
        self._current = current
        self._turn = Lock()
        # Of our own: the client's may be shared with another client that was given the same.
        self._folder = TemporaryDirectory(prefix="konnect-")
        self._certificate = Path(self._folder.name, "certificate")
        self._key = Path(self._folder.name, "key")
        self._certificate.write_bytes(certificate)
        self._key.write_bytes(Path(configuration.key_file).read_bytes())
        configuration.cert_file = str(self._certificate)
        configuration.key_file = str(self._key)
        super().__init__(configuration)

    def call_api(self, *args: Any, **kwargs: Any) -> Any:
        """See ApiClient."""
        with self._turn:
            if self._ends - wall() < EARLY:
                self._renew()
        return super().call_api(*args, **kwargs)

    def close(self) -> None:
        """See ApiClient."""
        super().close()
        self._folder.cleanup()

    def _renew(self) -> None:
        try:
            status = self._run()
            certificate = status["clientCertificateData"].encode()
            key = status["clientKeyData"].encode()
            ends = _end_of(certificate)
            self._certificate.write_bytes(certificate)
            self._key.write_bytes(key)
            self._ends = ends
        except KeyError as error:
            log.warn("the kubeconfig's command gave no {name}", name=error.args[0])
        except Exception as error:
            log.warn("the kubeconfig's command: {why}", why=shortened(str(error)))
        else:
            # With connections of its own. Requests that are under way end on the old ones.
            self.rest_client = type(self.rest_client)(self.configuration)

    def _run(self) -> dict[str, Any]:
        user, cluster = self._current.user, self._current.cluster
        command = ConfigNode("exec", user.value["exec"])
        provider = ExecProvider(
            command, os.path.abspath(cluster.folder), ConfigNode("cluster", cluster.value)
        )
        status: dict[str, Any] = provider.run()
        return status


def _end_of(certificate: bytes) -> float:
    """Raises ValueError if it is none."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()
