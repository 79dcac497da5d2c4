"""Tests of konnect_kubernetes.presence: what is refused when a proxy starts."""

from __future__ import annotations

from konnect.extension.leases import LeaseSettings
from konnect.tunnel.ledger import Ledger
from konnect_kubernetes.presence import make_presence
from tests.case import ApiCase


class SettingsTests(ApiCase):
    """What cannot be used is refused before anything begins."""

    def refusal(self, labels: str, kubeconfig: str = "") -> str:
        """Why these settings are refused."""
        settings = LeaseSettings(namespace="n", labels=labels, access=self.access_to(kubeconfig))
        with self.assertRaises(ValueError) as caught:
            make_presence(self.reactor, "p", settings, Ledger(lambda: 0.0))
        return str(caught.exception)

    def test_labels(self) -> None:
        """Labels are key=value pairs, in upstream's words."""
        self.assertEqual(self.refusal(""), "empty string provided")
        for text in ("x", "a=b,x", "a=b,", "=b", "a=b=c"):
            self.assertTrue(self.refusal(text).startswith("invalid label format: "), text)

    def test_kubeconfig(self) -> None:
        """A kubeconfig that is none is named, and not quoted."""
        for text, problem in (
            ("", "Invalid kube-config. "),
            ("secret: [", "not a kubeconfig ("),
            ("kind: Config", "Invalid kube-config file"),
        ):
            path = self.mktemp()
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
            said = self.refusal("a=b", path)
            self.assertTrue(said.startswith(f"kubeconfig {path}: {problem}"), said)
            self.assertNotIn("secret", said)

    def test_no_pod(self) -> None:
        """Without a kubeconfig, outside of a cluster, it is said what is missing."""
        settings = LeaseSettings(namespace="n", labels="a=b")
        for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
            self.set_environ(name, None)
        with self.assertRaises(ValueError) as caught:
            make_presence(self.reactor, "p", settings, Ledger(lambda: 0.0))
        self.assertTrue(
            str(caught.exception).startswith("no --kubeconfig is given, and this is not a pod: ")
        )
