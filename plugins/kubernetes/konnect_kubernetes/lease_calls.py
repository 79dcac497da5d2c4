"""The requests about leases of one namespace, each counted in the program's books."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from kubernetes.client import (
    CoordinationV1Api,
    V1DeleteOptions,
    V1Lease,
    V1Preconditions,
)
from twisted.internet.defer import CancelledError

from konnect.tunnel.ledger import Ledger
from konnect_kubernetes.allowance import Allowance
from konnect_kubernetes.calls import TIMEOUT, Calls, read_answer
from konnect_kubernetes.failures import ApiFailure
from konnect_kubernetes.watching import Watch

T = TypeVar("T")

PAGE = 500
PAGES = 20
"""Leases of one answer, and answers that make a LIST. There are as many leases as proxies, and what
else has the labels."""


class LeaseCalls:
    """
    Everything that konnect asks about leases. All methods raise `ApiFailure`.

    LIST and WATCH give what the API wrote, as dictionaries: one odd lease of somebody's must not
    make the whole answer unreadable.
    """

    def __init__(
        self,
        api: CoordinationV1Api,
        calls: Calls,
        allowance: Allowance,
        namespace: str,
        ledger: Ledger,
    ) -> None:
        # The client's types do not know that an answer may be left unread.
        self._api: Any = api
        self._calls = calls
        self._allowance = allowance
        self._namespace = namespace
        self._ledger = ledger

    async def read(self, name: str) -> V1Lease:
        """GET."""
        return await self._ask("get", self._api.read_namespaced_lease, name, self._namespace)

    async def create(self, lease: V1Lease) -> V1Lease:
        """POST."""
        return await self._ask("create", self._api.create_namespaced_lease, self._namespace, lease)

    async def replace(self, name: str, lease: V1Lease) -> V1Lease:
        """PUT; a conflict when somebody else has written since `lease` was read."""
        call = self._api.replace_namespaced_lease
        return await self._ask("update", call, name, self._namespace, lease)

    async def delete(self, name: str, version: str | None = None) -> None:
        """DELETE; with a version: only if that is still the lease's."""
        options = V1DeleteOptions()
        if version:
            options.preconditions = V1Preconditions(resource_version=version)

        def delete() -> None:
            # Some API servers answer with the lease, some with a Status: neither is of use.
            self._api.delete_namespaced_lease(
                name,
                self._namespace,
                body=options,
                _preload_content=False,
                _request_timeout=TIMEOUT,
            ).drain_conn()

        await self._ask("delete", delete, timed=False)

    async def list(self, selector: str) -> dict[str, Any]:
        """LIST of the leases with these labels, and the version to watch from."""

        def page(after: str | None) -> dict[str, Any]:
            response = self._api.list_namespaced_lease(
                self._namespace,
                label_selector=selector,
                limit=PAGE,
                _continue=after,
                _preload_content=False,
                _request_timeout=TIMEOUT,
            )
            listed = json.loads(read_answer(response))
            if not isinstance(listed, dict) or not isinstance(listed.get("items"), list):
                raise ApiFailure("the API server's answer is not a list of leases")
            return listed

        def read() -> dict[str, Any]:
            listed = first = page(None)
            for _ in range(PAGES - 1):
                after = (listed.get("metadata") or {}).get("continue")
                if not after:
                    break
                listed = page(after)
                first["items"] += listed["items"]
            return first

        return await self._ask("list", read, timed=False)

    async def watch(
        self, selector: str, version: str, seconds: int, told: Callable[[dict[str, Any]], object]
    ) -> Watch:
        """Ready to be run: a WATCH of at most `seconds` from `version` on."""
        await self._allowance.turn()
        return Watch(
            self._api,
            self._namespace,
            selector,
            version,
            seconds,
            told,
            self._calls,
            lambda failure, seconds: self._answered("watch", failure, seconds),
        )

    def hurry(self) -> None:
        """Hold requests to no rate any more."""
        self._allowance.lift()

    async def _ask(self, verb: str, call: Callable[..., T], *args: Any, timed: bool = True) -> T:
        await self._allowance.turn()
        begun = monotonic()
        limits = {"_request_timeout": TIMEOUT} if timed else {}
        try:
            answer = await self._calls.call(call, *args, **limits)
        except ApiFailure as failure:
            self._answered(verb, failure, monotonic() - begun)
            raise
        except CancelledError:
            raise ApiFailure("the request was given up") from None
        self._answered(verb, None, monotonic() - begun)
        return answer

    def _answered(self, verb: str, failure: ApiFailure | None, seconds: float) -> None:
        code, reason = (failure.code, failure.reason) if failure else (200, "")
        self._ledger.lease_calls.count(verb, code, reason, seconds)
        if failure and failure.wait:
            self._allowance.hold(failure.wait)
