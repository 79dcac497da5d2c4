"""
An API server of the tests' own: TokenReview and Lease, in the API's JSON, over real HTTP.

It keeps leases with resource versions, answers conflicts and `410 Gone` as a real one does, streams
watches, and does whatever else a test injects: errors, garbage, silence.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from tests.fault import Fault

LEASES = "/apis/coordination.k8s.io/v1/namespaces/"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"

Object = dict[str, Any]


class ApiServer(Resource):
    """One server. `requests` holds (method, path without the prefix) of everything asked."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.site = Site(self, timeout=None)
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.users: list[str] = []
        """Whom the client's certificate of each request names; "" without one."""
        self.reviewed: list[Object] = []
        self.review: Object = {"authenticated": False}
        """The status of every TokenReview, unless `judge` says otherwise."""
        self.judge: Callable[[Object], Object] = lambda asked: self.review
        """Gives the status for the spec of one TokenReview."""
        self.leases: dict[str, Object] = {}
        self.version = 100
        self.oldest = 0
        """Watches from before this version are gone."""
        self.faults: list[tuple[str, Fault]] = []
        """(method, what is done once) for the next request of that method (`WATCH` for watches)."""
        self.always: dict[str, Fault] = {}
        """What is done every time."""
        self.watches: list[Request] = []
        self.held: list[Request] = []
        self.selectors: list[str] = []
        """The label selectors of lists and watches."""
        self.deleting: Callable[[Object], object] = lambda options: None
        """Told the options of each DELETE."""
        self._waiters: list[tuple[Callable[[], bool], Deferred[None]]] = []

    # -- for the tests

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Fires when, after some request, `condition` holds."""
        waiter: Deferred[None] = Deferred()
        if condition():
            waiter.callback(None)
        else:
            self._waiters.append((condition, waiter))
        return waiter

    def look(self) -> None:
        """Something has changed: see who waits for it."""
        for entry in list(self._waiters):
            condition, waiter = entry
            if not waiter.called and condition():
                self._waiters.remove(entry)
                waiter.callback(None)

    def put(self, name: str, spec: Object, labels: dict[str, str] | None = None) -> Object:
        """Make or replace a lease, as somebody else."""
        kind = "MODIFIED" if name in self.leases else "ADDED"
        lease: Object = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": name,
                "namespace": "kube-system",
                "labels": labels if labels is not None else {"k8s-app": "konnectivity-server"},
            },
            "spec": spec,
        }
        return self._store(kind, name, lease)

    def remove(self, name: str) -> None:
        """Delete a lease, as somebody else."""
        self.version += 1
        lease = self.leases.pop(name)
        self._tell("DELETED", lease)

    def compact(self) -> None:
        """Forget what was: watches from earlier versions are gone."""
        self.version += 1
        self.oldest = self.version

    def end_watches(self, event: Object | None = None) -> None:
        """End every watch, perhaps with a last event."""
        watches, self.watches = self.watches, []
        for watch in watches:
            if event is not None:
                watch.write(json.dumps(event).encode() + b"\n")
            watch.finish()

    def close(self) -> None:
        """Drop whatever is held open."""
        held = [*self.held, *self.watches]
        self.held, self.watches = [], []
        for request in held:
            if request.channel is not None:
                cast(Any, request.channel).transport.abortConnection()

    # -- requests

    def render(self, request: Request) -> Any:
        path = request.path.decode()
        method = request.method.decode()
        if b"watch" in request.args and request.args[b"watch"] != [b"false"]:
            method = "WATCH"
        self.requests.append((method, path.removeprefix(LEASES)))
        self.headers.append(
            {
                name.decode().lower(): values[-1].decode()
                for name, values in request.requestHeaders.getAllRawHeaders()
            }
        )
        self.users.append(_user(request))
        try:
            fault = self._fault(method)
            if fault is not None:
                return self._misbehave(request, fault)
            if path == REVIEWS:
                return self._review(request)
            return self._lease(request, method, path)
        finally:
            self.look()

    def _fault(self, method: str) -> Fault | None:
        for entry in self.faults:
            if entry[0] == method:
                self.faults.remove(entry)
                return entry[1]
        return self.always.get(method)

    def _misbehave(self, request: Request, fault: Fault) -> Any:
        if fault.drop:
            request.channel.transport.abortConnection()  # type: ignore[union-attr]
            return NOT_DONE_YET
        if fault.silent or fault.drip:
            self.held.append(request)
            request.notifyFinish().addErrback(lambda _: None)
            if fault.drip:
                request.setHeader(b"content-length", b"1000")
                request.write(b"{")
            return NOT_DONE_YET
        if fault.retry_after:
            request.setHeader(b"retry-after", fault.retry_after.encode())
        if fault.body is not None:
            request.setResponseCode(fault.code or 200)
            request.setHeader(b"content-type", b"application/json")
            return fault.body
        return self._status(request, fault.code, fault.reason, "injected")

    def _review(self, request: Request) -> bytes:
        asked = json.load(request.content)  # type: ignore[arg-type]
        self.reviewed.append(asked["spec"])
        return self._json(request, {**asked, "status": self.judge(asked["spec"])}, 201)

    def _lease(self, request: Request, method: str, path: str) -> Any:
        _, _, name = path.removeprefix(LEASES).partition("/leases")
        name = name.lstrip("/")
        body = request.content.read()  # type: ignore[union-attr]
        if method == "WATCH":
            return self._watch(request)
        if method == "GET" and not name:
            return self._list(request)
        if method == "POST":
            return self._create(request, json.loads(body))
        lease = self.leases.get(name)
        if lease is None:
            return self._status(request, 404, "NotFound", f'leases "{name}" not found')
        if method == "GET":
            return self._json(request, lease)
        given = json.loads(body) if body else {}
        if method == "PUT":
            if given["metadata"].get("resourceVersion") != lease["metadata"]["resourceVersion"]:
                return self._status(request, 409, "Conflict", "the object has been modified")
            return self._json(request, self._store("MODIFIED", name, given))
        self.deleting(given)
        expected = (given.get("preconditions") or {}).get("resourceVersion")
        if expected not in (None, lease["metadata"]["resourceVersion"]):
            return self._status(request, 409, "Conflict", "the precondition failed")
        self.remove(name)
        return self._json(request, {"kind": "Status", "status": "Success"})

    def _create(self, request: Request, lease: Object) -> bytes:
        name = lease["metadata"]["name"]
        if name in self.leases:
            return self._status(request, 409, "AlreadyExists", f'leases "{name}" already exists')
        return self._json(request, self._store("ADDED", name, lease), 201)

    def _store(self, kind: str, name: str, lease: Object) -> Object:
        self.version += 1
        lease["metadata"]["resourceVersion"] = str(self.version)
        self.leases[name] = lease
        self._tell(kind, lease)
        return lease

    def _selector(self, request: Request) -> str:
        return str(request.args.get(b"labelSelector", [b""])[0].decode())

    def _selected(self, request: Request, lease: Object) -> bool:
        selector = self._selector(request)
        labels = lease["metadata"].get("labels") or {}
        pairs = [pair.split("=", 1) for pair in selector.split(",") if pair]
        return all(labels.get(key) == value for key, value in pairs)

    def _list(self, request: Request) -> bytes:
        self.selectors.append(self._selector(request))
        items = [lease for lease in self.leases.values() if self._selected(request, lease)]
        begin = int(request.args.get(b"continue", [b"0"])[0])
        end = begin + int(request.args.get(b"limit", [b"500"])[0])
        more = {"continue": str(end)} if end < len(items) else {}
        return self._json(
            request,
            {
                "kind": "LeaseList",
                "apiVersion": "coordination.k8s.io/v1",
                "metadata": {"resourceVersion": str(self.version), **more},
                "items": items[begin:end],
            },
        )

    def _watch(self, request: Request) -> Any:
        self.selectors.append(self._selector(request))
        since = int(request.args.get(b"resourceVersion", [b"0"])[0])
        if since < self.oldest:
            return self._status(request, 410, "Expired", f"too old resource version: {since}")
        request.setHeader(b"content-type", b"application/json")
        # Headers go out at once, as a real server's do.
        request.write(b"\n")
        self.watches.append(request)

        def over(_: Any) -> None:
            if request in self.watches:
                self.watches.remove(request)

        request.notifyFinish().addBoth(over)
        return NOT_DONE_YET

    def _tell(self, kind: str, lease: Object) -> None:
        line = json.dumps({"type": kind, "object": lease}).encode() + b"\n"
        for watch in list(self.watches):
            if self._selected(watch, lease):
                watch.write(line)

    def _json(self, request: Request, body: Object, code: int = 200) -> bytes:
        request.setResponseCode(code)
        request.setHeader(b"content-type", b"application/json")
        return json.dumps(body).encode()

    def _status(self, request: Request, code: int, reason: str, message: str) -> bytes:
        return self._json(
            request,
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "reason": reason,
                "message": message,
                "code": code,
            },
            code,
        )


def _user(request: Request) -> str:
    """The common name of the client's certificate."""
    look: Any = getattr(request.channel.transport, "getPeerCertificate", None)  # type: ignore[union-attr]
    certificate = look() if look is not None else None
    return "" if certificate is None else certificate.get_subject().commonName
