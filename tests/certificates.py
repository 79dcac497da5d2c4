"""One set of certificates for all tests, made once per test process: a tree, and bad ones."""

from __future__ import annotations

import atexit
import datetime
import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from konnect.app.authority import Authority, Lifetime, Pair, subject_name
from konnect.app.certs import Side, Tree, make_tree, write_pair

SERVER_NAMES = ("DNS:localhost", "IP:127.0.0.1", "IP:::1")


@dataclass(frozen=True)
class TestPki:
    """Paths (as text, ready for flags and endpoint strings) of files that tests need.

    ``frontend_*`` and ``agent_*`` are a tree as ``konnect certs`` makes it. ``expired_*`` ended
    ten days ago, and were issued by the authority of their side. ``other_*`` come from an
    authority that nobody else trusts. ``misnamed_server_*`` is a valid certificate of the frontend
    authority, for elsewhere.example only.
    """

    __test__ = False

    tree: Tree
    frontend_ca: str
    frontend_cert: str
    frontend_key: str
    frontend_client_cert: str
    frontend_client_key: str
    agent_ca: str
    agent_server_cert: str
    agent_server_key: str
    agent_cert: str
    agent_key: str
    expired_server_cert: str
    expired_server_key: str
    expired_client_cert: str
    expired_client_key: str
    expired_agent_server_cert: str
    expired_agent_server_key: str
    expired_agent_cert: str
    expired_agent_key: str
    misnamed_server_cert: str
    misnamed_server_key: str
    other_ca: str
    other_server_cert: str
    other_server_key: str
    other_client_cert: str
    other_client_key: str


@functools.cache
def pki() -> TestPki:
    """The test PKI; its folder is removed when the process ends."""
    directory = Path(tempfile.mkdtemp(prefix="konnect-test-pki-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    tree = make_tree(directory / "certs", names=SERVER_NAMES)
    frontend, agent = _authority(tree.frontend), _authority(tree.agent)
    now = datetime.datetime.now(datetime.UTC)
    life = Lifetime.of_days(1)
    past = Lifetime(now - datetime.timedelta(days=30), now - datetime.timedelta(days=10))
    names = [subject_name(text) for text in SERVER_NAMES]
    elsewhere = [subject_name("elsewhere.example")]
    other = Authority.create("konnect-test-other-ca", life)
    pairs = {
        "expired_server": frontend.issue_server("expired-server", past, names),
        "expired_client": frontend.issue_client("expired-client", past),
        "expired_agent_server": agent.issue_server("expired-agent-server", past, names),
        "expired_agent": agent.issue_client("expired-agent", past),
        "misnamed_server": frontend.issue_server("misnamed-server", life, elsewhere),
        "other_server": other.issue_server("other-server", life, names),
        "other_client": other.issue_client("other-client", life),
    }
    paths: dict[str, str] = {}
    for name, pair in pairs.items():
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        write_pair(certificate, key, pair)
        paths |= {f"{name}_cert": str(certificate), f"{name}_key": str(key)}
    other_ca = directory / "other_ca.crt"
    other_ca.write_bytes(other.pair.certificate)
    return TestPki(
        tree=tree,
        frontend_ca=str(tree.frontend.ca),
        frontend_cert=str(tree.frontend.server[0]),
        frontend_key=str(tree.frontend.server[1]),
        frontend_client_cert=str(tree.frontend.client[0]),
        frontend_client_key=str(tree.frontend.client[1]),
        agent_ca=str(tree.agent.ca),
        agent_server_cert=str(tree.agent.server[0]),
        agent_server_key=str(tree.agent.server[1]),
        agent_cert=str(tree.agent.client[0]),
        agent_key=str(tree.agent.client[1]),
        other_ca=str(other_ca),
        **paths,
    )


def _authority(side: Side) -> Authority:
    """The authority of one side of the tree."""
    return Authority.load(Pair(side.ca.read_bytes(), side.key("ca").read_bytes()))
