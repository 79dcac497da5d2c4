"""The manifests of deploy/, by Kubernetes' schemas and by what konnect's programs say to them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from konnect.app.test_client import TestClientOptions
from konnect.app.test_server import HOST, TestServerOptions
from tests.deploy import sets
from tests.deploy.objects import Object, check, complaints, load, of_kind, pods
from tests.deploy.starting import agent_config, proxy_config


class ManifestCase(SynchronousTestCase):
    """What all sets of manifests have to be."""

    def checked(self, items: list[Object]) -> list[Object]:
        """The same, valid and fit for each other."""
        for item in items:
            check(item)
        self.assertEqual(complaints(items), [])
        return items

    def start(self, items: list[Object], program: str) -> Object:
        """The pod that runs `program`, whose arguments the program takes."""
        (spec,) = [
            spec for _, spec in pods(items) if spec["containers"][0]["command"] == [f"/{program}"]
        ]
        parse = {"proxy-server": proxy_config, "proxy-agent": agent_config}[program]
        parse(spec["containers"][0]["args"])
        return spec

    def selects(self, egress: Path, server: Object, protocol: str) -> None:
        """The API server's configuration leads to the proxy's socket, which is a shared folder."""
        (selection,) = [
            one["connection"]
            for one in load(egress.read_text())[0]["egressSelections"]
            if one["name"] == "cluster"
        ]
        socket = selection["transport"]["uds"]["udsName"]
        container = server["containers"][0]
        self.assertEqual(selection["proxyProtocol"], protocol)
        self.assertIn(f"--uds-name={socket}", container["args"])
        folders = {
            mount["mountPath"]
            for mount in container["volumeMounts"]
            if not mount.get("readOnly", False)
        }
        # /tmp is where the Kubernetes client writes down the keys that a kubeconfig holds.
        self.assertEqual(folders, {str(Path(socket).parent), "/tmp"})


class KindTests(ManifestCase):
    """One control plane."""

    folder = sets.KIND

    def test_proxy_and_agent(self) -> None:
        """All objects are valid, fit together, and both programs take their arguments."""
        items = self.checked(sets.kind())
        server, agent = self.start(items, "proxy-server"), self.start(items, "proxy-agent")
        self.selects(self.folder / "egress-selector.yaml", server, "GRPC")
        audience = "--authentication-audience=system:konnectivity-server"
        self.assertIn(audience, server["containers"][0]["args"])
        (token,) = [
            source["serviceAccountToken"]
            for volume in agent["volumes"]
            for source in volume.get("projected", {}).get("sources", ())
        ]
        self.assertEqual(token["audience"], "system:konnectivity-server")
        (service,) = of_kind(items, "Service")
        host = f"{service['metadata']['name']}.{service['metadata']['namespace']}"
        self.assertIn(
            f"--proxy-server-host={host}.svc.cluster.local", agent["containers"][0]["args"]
        )

    def test_cluster(self) -> None:
        """What kind is told names files that are there, and the name that agents dial."""
        (cluster,) = load((self.folder / "kind.yaml").read_text())
        self.assertEqual(
            [node["role"] for node in cluster["nodes"]], ["control-plane", "worker", "worker"]
        )
        (mount,) = cluster["nodes"][0]["extraMounts"]
        self.assertTrue((self.folder / mount["hostPath"]).is_file())
        (patch,) = load(cluster["nodes"][0]["kubeadmConfigPatches"][0])
        api = patch["apiServer"]
        self.assertEqual(
            api["extraArgs"]["egress-selector-config-file"], api["extraVolumes"][0]["mountPath"]
        )
        self.assertEqual(mount["containerPath"], api["extraVolumes"][0]["hostPath"])
        self.assertEqual(api["certSANs"], ["konnectivity-server.kube-system.svc.cluster.local"])


class QuickstartTests(ManifestCase):
    """Several control planes: what quickstart-kind.sh makes of the manifests for one."""

    def setUp(self) -> None:
        """A folder for what the script writes."""
        self.folder = Path(tempfile.mkdtemp(prefix="konnect-test-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def test_leases(self) -> None:
        """Proxies publish leases, agents may count them and do so for ever."""
        nodes = ("--num-kcp-nodes=3", "--num-worker-nodes", "4")
        images = ("--server-image=a/b:1", "--agent-image=c:2")
        items = self.checked(sets.quickstart(self.folder, *nodes, *images))
        server, agent = self.start(items, "proxy-server"), self.start(items, "proxy-agent")
        self.assertEqual(server["containers"][0]["image"], "a/b:1")
        self.assertEqual(agent["containers"][0]["image"], "c:2")
        self.assertIn("--enable-lease-controller", server["containers"][0]["args"])
        for flag in ("--sync-forever", "--count-server-leases"):
            self.assertIn(flag, agent["containers"][0]["args"])
        self.assertTrue(agent["automountServiceAccountToken"])
        (role,) = of_kind(items, "ClusterRole")
        self.assertEqual(role["rules"][0]["resources"], ["leases"])
        (cluster,) = load((self.folder / "kind.yaml").read_text())
        roles = [node["role"] for node in cluster["nodes"]]
        self.assertEqual(roles, ["control-plane"] * 3 + ["worker"] * 4)

    def test_count(self) -> None:
        """With a number of proxies nobody needs leases, nor the right to read them."""
        items = self.checked(sets.quickstart(self.folder, "--server-count-override=5"))
        self.assertFalse((self.folder / "agent-leases.yaml").exists())
        server, agent = self.start(items, "proxy-server"), self.start(items, "proxy-agent")
        self.assertIn("--server-count=5", server["containers"][0]["args"])
        self.assertNotIn("--enable-lease-controller", server["containers"][0]["args"])
        self.assertNotIn("--count-server-leases", agent["containers"][0]["args"])

    def test_bad_flags(self) -> None:
        """What cannot be meant is refused."""
        for flag in ("--num-kcp-nodes=0", "--num-worker-nodes=x", "--nonsense=1"):
            self.assertEqual(sets.run_quickstart(self.folder, flag).returncode, 2)


class StaticPodTests(ManifestCase):
    """Pods for a control plane that is not made by kubeadm, with HTTP CONNECT."""

    folder = sets.STATIC_PODS

    def test_pods(self) -> None:
        """All objects are valid, fit together, and both programs take their arguments."""
        items = self.checked(sets.static_pods())
        server = self.start(items, "proxy-server")
        self.start(items, "proxy-agent")
        self.selects(self.folder / "egress-selector.yaml", server, "HTTPConnect")
        self.assertIn("--mode=http-connect", server["containers"][0]["args"])

    def test_trial(self) -> None:
        """The test client asks for a page that the test server has, by the port of its Service and
        the socket of the proxy."""
        items = sets.static_pods()
        started = {
            spec["containers"][0]["command"][0]: spec["containers"][0]["args"]
            for _, spec in pods(items)
        }
        server, client = TestServerOptions({}), TestClientOptions({})
        server.parseOptions(started["/http-test-server"])
        client.parseOptions(started["/proxy-test-client"])
        self.assertNotEqual(server["server-bind-address"], HOST)
        (service,) = of_kind(items, "Service")
        (port,) = service["spec"]["ports"]
        self.assertEqual(client["request-host"], sets.VALUES["TARGET_IP"])
        self.assertEqual(
            (client["request-port"], client["request-path"]), (port["port"], "success")
        )
        self.assertEqual(port["targetPort"], server["server-port"])
        self.assertIn(f"--uds-name={client['proxy-uds']}", started["/proxy-server"])
        self.assertIn(f"--mode={client['mode']}", started["/proxy-server"])

    def test_nothing_is_left_to_fill(self) -> None:
        """Every variable is one that the page names, and it names no others."""
        page = (self.folder / "README.md").read_text()
        for file in (*self.folder.glob("*.yaml"), self.folder / "kubeconfig"):
            for item in load(file.read_text(), **sets.VALUES):
                self.assertNotIn("${", str(item))
        for name in sets.VALUES:
            self.assertIn(f"`{name}`", page)

    def test_new_token(self) -> None:
        """A new token is printed, and is the one in the file, which only its user may read."""
        folder = Path(tempfile.mkdtemp(prefix="konnect-test-"))
        self.addCleanup(shutil.rmtree, folder)
        file = folder / "tokens.csv"
        script = self.folder / "new-token"
        tokens = [
            subprocess.run(
                [script, file], stdout=subprocess.PIPE, text=True, timeout=30, check=True
            )
            for _ in range(2)
        ]
        first, second = (done.stdout.strip() for done in tokens)
        self.assertNotEqual(first, second)
        self.assertRegex(first, "^[0-9a-f]{64}$")
        user = "system:konnectivity-server"
        self.assertEqual(
            file.read_text().splitlines(), [f"{t},{user},uid:{user}" for t in (first, second)]
        )
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
