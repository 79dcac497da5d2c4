"""``konnect certs``: the certificates of a proxy, its agents and its clients, at upstream's paths.

Two independent authorities, one for each side of the proxy: a client certificate of the frontend
side is worth nothing at the agent port, and the other way round. Below the directory (``certs`` by
default)::

    frontend/issued/ca.crt              frontend/private/ca.key
    frontend/issued/proxy-frontend.crt  frontend/private/proxy-frontend.key   the proxy, for clients
    frontend/issued/proxy-client.crt    frontend/private/proxy-client.key     a client
    agent/issued/ca.crt                 agent/private/ca.key
    agent/issued/proxy-frontend.crt     agent/private/proxy-frontend.key      the proxy, for agents
    agent/issued/proxy-agent.crt        agent/private/proxy-agent.key         an agent

It makes whole trees only: no renewal of one certificate, no revocation. For production use the
cluster's own PKI.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from konnect.app.authority import Authority, BadSubjectName, Lifetime, Pair, subject_name

DEFAULT_DIRECTORY = "certs"
DEFAULT_DAYS = 365
RSA_BITS = 2048
BASE_NAMES = ("DNS:kubernetes", "DNS:localhost", "IP:127.0.0.1")
"""What both server certificates are always valid for."""


class TreeError(Exception):
    """The tree cannot be made, and nothing was changed; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the proxy: an authority, the proxy's certificate, and that of its peer."""

    directory: Path
    peer: str

    def certificate(self, name: str) -> Path:
        """The certificate called `name`."""
        return self.directory / "issued" / f"{name}.crt"

    def key(self, name: str) -> Path:
        """The private key called `name`."""
        return self.directory / "private" / f"{name}.key"

    @property
    def ca(self) -> Path:
        """The authority's certificate."""
        return self.certificate("ca")

    @property
    def server(self) -> tuple[Path, Path]:
        """The proxy's certificate and key."""
        return self.certificate("proxy-frontend"), self.key("proxy-frontend")

    @property
    def client(self) -> tuple[Path, Path]:
        """The certificate and key of what connects to this side."""
        return self.certificate(self.peer), self.key(self.peer)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of this side."""
        names = ("ca", "proxy-frontend", self.peer)
        return tuple(file for name in names for file in (self.certificate(name), self.key(name)))


@dataclass(frozen=True, slots=True)
class Tree:
    """The paths of a tree below `directory`, whether they exist or not."""

    directory: Path

    @property
    def frontend(self) -> Side:
        """The side of the clients."""
        return Side(self.directory / "frontend", "proxy-client")

    @property
    def agent(self) -> Side:
        """The side of the agents."""
        return Side(self.directory / "agent", "proxy-agent")

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both."""
        return self.frontend, self.agent


def make_tree(
    directory: str | os.PathLike[str],
    *,
    rsa: bool = False,
    names: Sequence[str] = (),
    proxy_hosts: Sequence[str] = (),
    days: int = DEFAULT_DAYS,
    force: bool = False,
) -> Tree:
    """Make a whole new tree below `directory` and return its paths.

    `names` are added to both server certificates, `proxy_hosts` (where agents reach the proxy)
    only to the one that agents see. An existing tree is replaced only with `force`, and only if
    all its files are such as this function makes. Raises BadSubjectName and TreeError; then the
    directory is as it was before.
    """
    tree = Tree(Path(directory))
    extra = [subject_name(text) for text in names]
    hosts = [subject_name(text) for text in proxy_hosts]
    life = Lifetime.of_days(days)
    bits = RSA_BITS if rsa else None
    _check_replaceable(tree, force)
    try:
        tree.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=".konnect-certs-", dir=tree.directory, ignore_cleanup_errors=True
        ) as staging:
            fresh = Tree(Path(staging) / "new")
            _write_side(fresh.frontend, "konnect-frontend-ca", life, bits, extra)
            _write_side(fresh.agent, "konnect-agent-ca", life, bits, [*hosts, *extra])
            _swap_in(fresh, tree, Path(staging) / "old")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TreeError(
            f"{tree.directory}: cannot be written: {reason}; make room or choose another --dir"
        ) from error
    return tree


def _check_replaceable(tree: Tree, force: bool) -> None:
    """Raise TreeError if something is in the way that must not be replaced."""
    for side in tree.sides:
        if not os.path.lexists(side.directory):
            continue
        if not force:
            raise TreeError(
                f"{side.directory}: exists already; nothing was changed. "
                "Give --force to replace its certificates and keys, or another --dir"
            )
        if side.directory.is_symlink() or not side.directory.is_dir():
            raise TreeError(
                f"{side.directory}: not a directory; move it away or give another --dir"
            )
        ours = {*side.files, *(file.parent for file in side.files)}
        for found in sorted(side.directory.rglob("*")):
            if found not in ours:
                raise TreeError(
                    f"{found}: not made by konnect certs, so --force does not remove it; "
                    "move it away or give another --dir"
                )


def _write_side(
    side: Side, common_name: str, life: Lifetime, bits: int | None, extra: list[x509.GeneralName]
) -> None:
    """Make one side's authority and certificates and write them out."""
    authority = Authority.create(f"{common_name}@{int(time.time())}", life, rsa_bits=bits)
    names = [subject_name(text) for text in BASE_NAMES]
    names += [name for position, name in enumerate(extra) if name not in names + extra[:position]]
    side.key("ca").parent.mkdir(parents=True)
    side.key("ca").parent.chmod(0o700)
    side.ca.parent.mkdir()
    pairs = {
        "ca": authority.pair,
        "proxy-frontend": authority.issue_server("proxy-frontend", life, names),
        side.peer: authority.issue_client(side.peer, life),
    }
    for name, pair in pairs.items():
        write_pair(side.certificate(name), side.key(name), pair)


def write_pair(certificate: Path, key: Path, pair: Pair) -> None:
    """Write `pair` to two new files, the key readable by its owner only from the start."""
    certificate.write_bytes(pair.certificate)
    descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pair.key)


def _swap_in(fresh: Tree, tree: Tree, away: Path) -> None:
    """Move both new sides into place and the old ones away; undo it all if interrupted."""
    moves: list[tuple[Path, Path]] = []
    away.mkdir()
    try:
        for new, final in zip(fresh.sides, tree.sides, strict=True):
            if final.directory.exists():
                _move(final.directory, away / final.directory.name, moves)
            _move(new.directory, final.directory, moves)
    except BaseException:
        for source, target in reversed(moves):
            os.rename(target, source)
        raise


def _move(source: Path, target: Path, moves: list[tuple[Path, Path]]) -> None:
    os.rename(source, target)
    moves.append((source, target))


def _positive(text: str) -> int:
    value = int(text)
    if not 0 < value <= 36500:
        raise ValueError
    return value


_positive.__name__ = "number of days"


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="konnect certs",
        description="Make two certificate authorities, and the certificates that a proxy, its"
        " agents and its clients need.",
        allow_abbrev=False,
    )
    option = parser.add_argument
    option("--dir", default=DEFAULT_DIRECTORY, help="where to make the tree (default: %(default)s)")
    option("--rsa", action="store_true", help="RSA 2048 keys instead of ECDSA P-256")
    option(
        "--san",
        action="append",
        default=[],
        metavar="NAME",
        help="a further host name or IP address that the proxy is reached at, by clients and"
        " agents; repeatable",
    )
    option(
        "--proxy-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name or IP address that agents reach the proxy at; repeatable",
    )
    option(
        "--days",
        type=_positive,
        default=DEFAULT_DAYS,
        help="how long everything is valid, from now (default: %(default)s)",
    )
    option("--force", action="store_true", help="replace the tree that is there")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run ``konnect certs``. Exit code 0, 1 (could not be made) or 2 (bad command line)."""
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        tree = make_tree(
            options.dir,
            rsa=options.rsa,
            names=options.san,
            proxy_hosts=options.proxy_host,
            days=options.days,
            force=options.force,
        )
    except BadSubjectName as error:
        parser.error(str(error))
    except TreeError as error:
        print(f"konnect certs: {error}", file=sys.stderr)
        return 1
    for side in tree.sides:
        for file in side.files:
            print(file)
    return 0
