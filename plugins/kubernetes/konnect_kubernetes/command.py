"""A kubeconfig's command that gives credentials, run within bounds: the official client waits for
one for ever, and keeps all that it says."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from typing import Any

from konnect.extension.starting import told_to_end
from konnect.wire.token_review import shortened
from konnect_kubernetes.kubeconfig import Current

LIMIT = 15.0
"""Seconds that a command may take. A proxy's lease holds for 30 and is renewed every 15, so a
renewal may wait for one that hangs."""

LARGEST = 1 << 20
"""Bytes that it may write, to stdout and to stderr."""

LOOK = 0.1
"""Seconds between two looks whether the program is stopping."""

AFTER_KILL = 1.0
"""Seconds that a killed one is waited for. It may hang in the kernel, on a dead network's disk."""

monotonic = time.monotonic


class CommandFailed(Exception):
    """A command gave nothing that can be used; the text names it and says why."""


class CommandKilled(CommandFailed):
    """It took too long."""


class Command:
    """The command of a kubeconfig's user. Raises `CommandFailed` for what cannot be one."""

    def __init__(self, current: Current) -> None:
        entry = current.user.value["exec"]
        entry = entry if isinstance(entry, dict) else {}
        self._name = str(entry.get("command") or "")
        self._version = str(entry.get("apiVersion") or "")
        for key in ("command", "apiVersion"):
            if not entry.get(key):
                raise CommandFailed(f"its exec has no {key}")
        if entry.get("interactiveMode") == "Always":
            raise self.failed("wants to ask somebody (interactiveMode: Always): nobody is there")
        try:
            self._arguments = [self._name, *map(str, entry.get("args") or [])]
            variables = entry.get("env") or []
            self._environ = {str(each["name"]): str(each["value"]) for each in variables}
        except (KeyError, TypeError):
            raise self.failed("has malformed args or env") from None
        spec: dict[str, Any] = {"interactive": False}
        if entry.get("provideClusterInfo"):
            spec["cluster"] = _cluster_info(current.cluster.value)
        info = {"apiVersion": self._version, "kind": "ExecCredential", "spec": spec}
        self._environ["KUBERNETES_EXEC_INFO"] = json.dumps(info, default=str)
        self._folder = os.path.abspath(current.user.folder)
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def stop(self) -> None:
        """From another thread: a run that is under way is to end soon, and there is no other."""
        self._stopped = True

    def run(self) -> dict[str, Any]:
        """Run it, and give the `status` of its answer. Nothing of it is left if it fails."""
        if self._is_over():
            raise self.failed("is not run: the program is stopping")
        try:
            process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._folder,
                env={**os.environ, **self._environ},
                process_group=0,  # so that it can be killed with its children
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise self.failed(f"cannot be run: {why}") from None
        try:
            out, err = self._wait(process)
        except BaseException:
            # It has not been waited for yet, so its number is nobody else's.
            os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(AFTER_KILL)
            raise
        finally:
            for stream in process.stdout, process.stderr:
                assert stream is not None
                stream.close()
        if process.returncode:
            said = shortened(err.decode(errors="replace"))
            raise self.failed(f"returned {process.returncode}{': ' + said if said else ''}")
        return self._status(out)

    def _is_over(self) -> bool:
        # At the start this is the main thread, and nobody is there yet to call `stop`.
        return self._stopped or told_to_end()

    def _wait(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        """What it writes, until it has ended and nobody else can write there."""
        deadline = monotonic() + LIMIT
        said = {process.stdout: bytearray(), process.stderr: bytearray()}
        with selectors.DefaultSelector() as selector:
            for stream, kept in said.items():
                assert stream is not None
                selector.register(stream, selectors.EVENT_READ, kept)
            while True:
                left = deadline - monotonic()
                if self._is_over():
                    raise self.failed("was killed: the program is stopping")
                if left <= 0:
                    why = f"was killed: it has not ended within {LIMIT:g} seconds"
                    raise CommandKilled(self._about(why))
                if selector.get_map():
                    for key, _ in selector.select(min(left, LOOK)):
                        self._read(selector, key)
                    continue
                try:
                    process.wait(min(left, LOOK))
                except subprocess.TimeoutExpired:
                    continue
                out, err = said.values()
                return bytes(out), bytes(err)

    def _read(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        data = os.read(key.fd, 65536)
        if not data:
            selector.unregister(key.fileobj)
        key.data.extend(data)
        if len(key.data) > LARGEST:
            raise self.failed(f"was killed: it wrote more than {LARGEST} bytes")

    def _status(self, out: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(out)
        except ValueError:
            raise self.failed("gave an answer that is no JSON") from None
        if not isinstance(answer, dict) or not isinstance(answer.get("status"), dict):
            raise self.failed("gave an answer without a status")
        version = answer.get("apiVersion")
        if version != self._version:
            given = shortened(str(version))
            raise self.failed(f"gave an answer of apiVersion {given}, not {self._version}")
        status: dict[str, Any] = answer["status"]
        return status

    def failed(self, why: str) -> CommandFailed:
        """What to raise when its answer cannot be used."""
        return CommandFailed(self._about(why))

    def _about(self, why: str) -> str:
        return f"the kubeconfig's command {shortened(self._name)} {why}"


def _cluster_info(cluster: dict[str, Any]) -> dict[str, Any]:
    info = {key: value for key, value in cluster.items() if key != "extensions"}
    for extension in cluster.get("extensions") or []:
        if extension.get("name") == "client.authentication.k8s.io/exec":
            info["config"] = extension.get("extension")
    return info
