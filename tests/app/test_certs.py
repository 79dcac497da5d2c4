"""Tests of konnect.app.certs."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from twisted.trial.unittest import SynchronousTestCase

from konnect.app import certs
from konnect.app.authority import BadSubjectName
from konnect.app.certs import Tree, TreeError, main, make_tree
from konnect.net.pem import read_identity
from tests.unprivileged import unprivileged

OPENSSL = shutil.which("openssl")
BASE = ["kubernetes", "localhost", "127.0.0.1"]


class TreeTestCase(SynchronousTestCase):
    """A folder to make trees in."""

    def setUp(self) -> None:
        self.parent = Path(tempfile.mkdtemp(prefix="konnect-test-"))
        self.addCleanup(shutil.rmtree, self.parent)
        self.directory = self.parent / "certs"

    def snapshot(self) -> dict[str, bytes]:
        """Every file below the folder, with its content."""
        return {
            str(path.relative_to(self.parent)): path.read_bytes()
            for path in sorted(self.parent.rglob("*"))
            if path.is_file()
        }

    def names(self, path: Path) -> list[str]:
        """What a certificate is valid for."""
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return [str(name.value) for name in extension.value]


class MakeTreeTests(TreeTestCase):
    """make_tree."""

    def test_paths(self) -> None:
        """The tree has upstream's paths, and nothing else is left."""
        make_tree(self.directory)
        self.assertEqual(
            sorted(self.snapshot()),
            [
                "certs/agent/issued/ca.crt",
                "certs/agent/issued/proxy-agent.crt",
                "certs/agent/issued/proxy-frontend.crt",
                "certs/agent/private/ca.key",
                "certs/agent/private/proxy-agent.key",
                "certs/agent/private/proxy-frontend.key",
                "certs/frontend/issued/ca.crt",
                "certs/frontend/issued/proxy-client.crt",
                "certs/frontend/issued/proxy-frontend.crt",
                "certs/frontend/private/ca.key",
                "certs/frontend/private/proxy-client.key",
                "certs/frontend/private/proxy-frontend.key",
            ],
        )
        self.assertEqual(sorted(os.listdir(self.directory)), ["agent", "frontend"])

    def test_modes(self) -> None:
        """Keys are 0600 in folders of 0700, whatever the umask allows."""
        self.addCleanup(os.umask, os.umask(0))
        tree = make_tree(self.directory)
        for side in tree.sides:
            self.assertEqual(stat.S_IMODE(side.key("ca").parent.stat().st_mode), 0o700)
            for name in ("ca", "proxy-frontend", side.peer):
                self.assertEqual(stat.S_IMODE(side.key(name).stat().st_mode), 0o600)

    def test_each_key_belongs_to_its_certificate(self) -> None:
        """The pairs fit together."""
        for side in make_tree(self.directory).sides:
            for cert, key in (side.server, side.client, (side.ca, side.key("ca"))):
                read_identity(str(cert), str(key))

    def test_names(self) -> None:
        """Names go into both server certificates, proxy hosts only into the agents', each once."""
        tree = make_tree(
            self.directory,
            names=["proxy.example", "localhost"],
            proxy_hosts=["192.0.2.1", "proxy.example", "192.0.2.1"],
        )
        self.assertEqual(self.names(tree.frontend.server[0]), [*BASE, "proxy.example"])
        self.assertEqual(self.names(tree.agent.server[0]), [*BASE, "192.0.2.1", "proxy.example"])

    def test_rsa(self) -> None:
        """With `rsa`, all keys are RSA 2048."""
        for side in make_tree(self.directory, rsa=True).sides:
            for cert, key in (side.server, side.client, (side.ca, side.key("ca"))):
                found = read_identity(str(cert), str(key)).key
                assert isinstance(found, rsa.RSAPrivateKey), found
                self.assertEqual(found.key_size, 2048)

    def test_sides_are_independent(self) -> None:
        """The two authorities have different names and keys."""
        tree = make_tree(self.directory)
        subjects = {
            x509.load_pem_x509_certificate(side.ca.read_bytes()).subject for side in tree.sides
        }
        self.assertEqual(len(subjects), 2)
        keys = {side.key("ca").read_bytes() for side in tree.sides}
        self.assertEqual(len(keys), 2)

    def test_bad_name_changes_nothing(self) -> None:
        """A bad name is refused before anything is made."""
        self.assertRaises(BadSubjectName, make_tree, self.directory, names=["a b"])
        self.assertRaises(BadSubjectName, make_tree, self.directory, proxy_hosts=["a:1"])
        self.assertFalse(self.directory.exists())


class OverwriteTests(TreeTestCase):
    """make_tree where something is already."""

    def setUp(self) -> None:
        super().setUp()
        make_tree(self.directory)
        self.before = self.snapshot()

    def refused(self, *expected: str, force: bool) -> None:
        error = self.assertRaises(TreeError, make_tree, self.directory, force=force)
        for text in expected:
            self.assertIn(text, str(error))

    def test_refused_without_force(self) -> None:
        """An existing tree, or one side of it, is not touched without `force`."""
        self.refused(str(self.directory / "frontend"), "--force", force=False)
        self.assertEqual(self.snapshot(), self.before)
        shutil.rmtree(self.directory / "frontend")
        self.refused(str(self.directory / "agent"), "--force", force=False)
        self.assertEqual(sorted(os.listdir(self.directory)), ["agent"])

    def test_force(self) -> None:
        """With `force` every file is new, and what is beside the tree stays."""
        (self.directory / "README.md").write_text("mine")
        make_tree(self.directory, force=True)
        after = self.snapshot()
        self.assertEqual(after.pop("certs/README.md"), b"mine")
        self.assertEqual(after.keys(), self.before.keys())
        for path, content in after.items():
            self.assertNotEqual(content, self.before[path], path)
        self.assertEqual(sorted(os.listdir(self.directory)), ["README.md", "agent", "frontend"])

    def test_force_spares_files_of_others(self) -> None:
        """A file that is none of ours inside the tree stops `force`."""
        foreign = self.directory / "agent" / "private" / "precious.key"
        foreign.write_text("mine")
        before = self.snapshot()
        self.refused(str(foreign), "not made by konnect certs", force=True)
        self.assertEqual(self.snapshot(), before)

    def test_force_does_not_follow_links(self) -> None:
        """A link in a side's place stops `force`."""
        elsewhere = self.parent / "elsewhere"
        (self.directory / "agent").rename(elsewhere)
        (self.directory / "agent").symlink_to(elsewhere)
        self.refused("not a directory", force=True)
        self.assertTrue((elsewhere / "issued" / "ca.crt").exists())

    def test_failure_midway_leaves_the_old_tree(self) -> None:
        """Whichever of the moves fails, the old tree is whole afterwards and nothing else left."""
        rename = os.rename
        for failing in range(4):
            calls = 0

            def fail(source: Path, target: Path, failing: int = failing) -> None:
                nonlocal calls
                calls += 1
                if calls == failing + 1:
                    raise OSError(28, "No space left on device", str(target))
                rename(source, target)

            patch = self.patch(os, "rename", fail)
            self.refused("no space left on device", force=True)
            patch.restore()
            self.assertEqual(self.snapshot(), self.before)
            self.assertEqual(sorted(os.listdir(self.directory)), ["agent", "frontend"])

    def test_interruption_midway_leaves_the_old_tree(self) -> None:
        """Ctrl-C while writing the new files changes nothing."""

        def interrupt(*arguments: object) -> None:
            raise KeyboardInterrupt

        self.patch(certs, "write_pair", interrupt)
        self.assertRaises(KeyboardInterrupt, make_tree, self.directory, force=True)
        self.assertEqual(self.snapshot(), self.before)

    def test_unwritable(self) -> None:
        """A folder that may not be written is named."""
        self.parent.chmod(0o755)
        target = self.parent / "closed"
        target.mkdir(mode=0o555)
        with unprivileged():
            error = self.assertRaises(TreeError, make_tree, target)
        self.assertIn(f"{target}: cannot be written: permission denied", str(error))


class OpensslTests(TreeTestCase):
    """The certificates as OpenSSL judges them."""

    if OPENSSL is None:
        skip = "no openssl command on this machine"

    def verify(self, ca: Path, cert: Path, purpose: str) -> str:
        assert OPENSSL is not None
        done = subprocess.run(
            [OPENSSL, "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(ca), str(cert)],
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.stdout + done.stderr

    def test_strict(self) -> None:
        """Every certificate passes the strict check for its own use, and only for that."""
        for rsa_keys in (False, True):
            tree = make_tree(self.directory, rsa=rsa_keys, force=True)
            for side in tree.sides:
                uses = {side.server[0]: "sslserver", side.client[0]: "sslclient"}
                for cert, use in uses.items():
                    self.assertEqual(self.verify(side.ca, cert, use), f"{cert}: OK\n")
                    (other,) = set(uses.values()) - {use}
                    self.assertIn("verification failed", self.verify(side.ca, cert, other))
                self.assertIn("OK", self.verify(side.ca, side.ca, "any"))

    def test_other_side(self) -> None:
        """No certificate passes with the other side's authority."""
        tree = make_tree(self.directory)
        found = self.verify(tree.frontend.ca, tree.agent.client[0], "sslclient")
        self.assertIn("unable to get local issuer certificate", found)


class CommandTests(TreeTestCase):
    """``konnect certs``."""

    def run_command(self, *argv: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main([*argv, "--dir", str(self.directory)])
            except SystemExit as end:
                code = int(end.code or 0)
        return code, out.getvalue(), err.getvalue()

    def test_lists_what_it_made(self) -> None:
        """The files are listed, one a line."""
        code, out, err = self.run_command()
        self.assertEqual((code, err), (0, ""))
        files = [str(file) for side in Tree(self.directory).sides for file in side.files]
        self.assertEqual(out.splitlines(), files)
        self.assertEqual(len(files), 12)

    def test_options(self) -> None:
        """Flags reach the certificates."""
        code, _, _ = self.run_command(
            "--rsa", "--san=a.example", "--san", "IP:::1", "--proxy-host=192.0.2.1", "--days=2"
        )
        self.assertEqual(code, 0)
        tree = Tree(self.directory)
        self.assertEqual(self.names(tree.frontend.server[0]), [*BASE, "a.example", "::1"])
        self.assertEqual(self.names(tree.agent.server[0]), [*BASE, "192.0.2.1", "a.example", "::1"])
        certificate = x509.load_pem_x509_certificate(tree.agent.ca.read_bytes())
        self.assertIsInstance(certificate.public_key(), rsa.RSAPublicKey)
        life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        self.assertEqual(life.days, 2)

    def test_refuses_to_overwrite(self) -> None:
        """A second run exits 1 with one line and changes nothing; with --force it succeeds."""
        self.run_command()
        before = self.snapshot()
        code, out, err = self.run_command()
        self.assertEqual((code, out), (1, ""))
        self.assertEqual(len(err.splitlines()), 1)
        self.assertIn("--force", err)
        self.assertEqual(self.snapshot(), before)
        self.assertEqual(self.run_command("--force")[0], 0)

    def test_bad_command_lines(self) -> None:
        """Bad values, unknown flags and stray words exit 2 and make nothing."""
        for argv, text in (
            (["--san", "a b"], "'a b' is neither a host name nor an IP address"),
            (["--days", "0"], "invalid number of days"),
            (["--days", "x"], "invalid number of days"),
            (["--nonsense"], "--nonsense"),
            (["certs2"], "certs2"),
        ):
            code, _, err = self.run_command(*argv)
            self.assertEqual(code, 2)
            self.assertIn(text, err)
        self.assertFalse(self.directory.exists())
