"""A client that is known by what a kubeconfig's command gives, and gives anew before it ends."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from cryptography import x509
from kubernetes.client import ApiClient, ApiException, Configuration

from konnect.log import make_logger
from konnect_kubernetes.command import LIMIT, Command, CommandFailed, CommandKilled

log = make_logger(__name__)

EARLY = 300.0
"""Seconds before their end in which credentials are replaced."""

UNAUTHORIZED = 401

API_KEYS = ("BearerToken", "authorization")
"""What releases of the client call the token, the newer ones first. When they ask for it they have
its hook called, and that is before `call_api`."""

wall = time.time


class CommandClient(ApiClient):  # type: ignore[misc]
    """
    Looks at its credentials before each request, in the request's thread.

    A command that fails leaves everything as it is, and is run for the next request again; one that
    had to be killed, after a pause. While the old credentials are good only one request waits for
    it. Raises `CommandFailed` where it gives nothing at first: it would never be asked for again.
    """

    rest_client: Any

    def __init__(self, configuration: Configuration, command: Command) -> None:
        super().__init__(configuration)
        self._command = command
        self._ends = float("inf")
        self._not_before = 0.0
        self._turn = Lock()
        self._folder = TemporaryDirectory(prefix="konnect-")
        try:
            self._take(command.run())
        except BaseException:
            self._folder.cleanup()
            raise

    def call_api(self, *args: Any, **kwargs: Any) -> Any:
        """See ApiClient."""
        if not self.configuration.api_key:
            self._see_to_credentials()
        # The status comes with an answer or an exception, by the client's release.
        try:
            answer = super().call_api(*args, **kwargs)
        except ApiException as error:
            self._answered(error)
            raise
        self._answered(answer)
        return answer

    def _answered(self, answer: Any) -> None:
        if getattr(answer, "status", 0) == UNAUTHORIZED:
            self._ends = 0.0  # whatever they said of themselves

    def close(self) -> None:
        """See ApiClient. A command that is running is killed."""
        super().close()
        self._command.stop()
        self._tidy()

    def _see_to_credentials(self) -> None:
        now = wall()
        if self._ends - now >= EARLY or not self._turn.acquire(blocking=self._ends <= now):
            return
        try:
            if self._ends - wall() < EARLY and wall() >= self._not_before:
                self._renew()
        finally:
            self._turn.release()
            if self._command.stopped:
                self._tidy()

    def _tidy(self) -> None:
        # Whoever has the turn may be writing there, and tidies up after that.
        if self._turn.acquire(blocking=False):
            self._folder.cleanup()
            self._turn.release()

    def _renew(self) -> None:
        try:
            self._take(self._command.run())
        except CommandFailed as error:
            if self._command.stopped:
                return
            if isinstance(error, CommandKilled):
                self._not_before = wall() + LIMIT
            log.warn("credentials are not renewed: {why}", why=error)
        except OSError as error:
            log.warn("credentials are not renewed: {why}", why=error.strerror or error)

    def _take(self, status: dict[str, Any]) -> None:
        """Show what the command has given."""
        ends = self._end_of(status)
        certificate, key = self._text(status, "clientCertificateData", "clientKeyData")
        (token,) = self._text(status, "token")
        if not token and not certificate:
            raise self._command.failed("gave neither token nor clientCertificateData")
        if certificate:
            if not key:
                raise self._command.failed("gave no clientKeyData")
            try:
                loaded = x509.load_pem_x509_certificate(certificate.encode())
            except ValueError:
                raise self._command.failed("gave a certificate that is none") from None
            ends = min(ends, loaded.not_valid_after_utc.timestamp())
            self._take_certificate(certificate, key)
        if token:
            configuration = self.configuration
            for name in API_KEYS:
                configuration.api_key[name] = f"Bearer {token}"
            configuration.refresh_api_key_hook = lambda _: self._see_to_credentials()
        self._ends = ends

    def _take_certificate(self, certificate: str, key: str) -> None:
        configuration = self.configuration
        for name, text in ("cert_file", certificate), ("key_file", key):
            file = Path(self._folder.name, name)
            file.write_text(text, encoding="utf-8")
            setattr(configuration, name, str(file))
        # With connections of its own. Requests that are under way end on the old ones.
        self.rest_client = type(self.rest_client)(configuration)

    def _end_of(self, status: dict[str, Any]) -> float:
        (until,) = self._text(status, "expirationTimestamp")
        if not until:
            return float("inf")
        try:
            return datetime.fromisoformat(until).timestamp()
        except (ValueError, OverflowError):
            raise self._command.failed("gave an expirationTimestamp that is none") from None

    def _text(self, status: dict[str, Any], *names: str) -> list[str]:
        """These fields; empty where one is not there."""
        found = []
        for name in names:
            value = status.get(name) or ""
            if not isinstance(value, str):
                raise self._command.failed(f"gave a {name} that is no text")
            found.append(value.strip())
        return found
