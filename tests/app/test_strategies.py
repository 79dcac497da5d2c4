"""Tests of konnect.app.strategies, and of the plugins that they find."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from konnect.app.strategies import make_registry, parse_strategies
from konnect.extension.finding import installed
from konnect.extension.strategies import IProxyModifier, IProxyStrategy
from tests.tunnel.routables import link


class PluginTests(SynchronousTestCase):
    """What is installed with konnect."""

    def test_strategies(self) -> None:
        """Konnect's strategies are plugins, and make a new strategy each time."""
        found = installed(IProxyStrategy)
        for name in ("default", "defaultRoute", "destCIDR", "destHost"):
            plugin = found[name]
            verifyObject(IProxyStrategy, plugin)
            self.assertIsNot(plugin.make(), plugin.make())
            self.assertEqual(len(plugin.make()), 0)

    def test_modifiers(self) -> None:
        """leastLoaded is a modifier."""
        plugin = installed(IProxyModifier)["leastLoaded"]
        verifyObject(IProxyModifier, plugin)
        self.assertIsNone(plugin.pick(iter(())))


class ParseTests(SynchronousTestCase):
    """`--proxy-strategies`."""

    def test_lists(self) -> None:
        """Names keep their order and number; empty items are passed by."""
        for text, names in (
            ("default", ("default",)),
            ("destHost,defaultRoute,default", ("destHost", "defaultRoute", "default")),
            (",destHost,,default,", ("destHost", "default")),
            ("default,default", ("default", "default")),
            ("destCIDR,leastLoaded", ("destCIDR", "leastLoaded")),
            ("leastLoaded,default", ("leastLoaded", "default")),
        ):
            with self.subTest(text):
                self.assertEqual(parse_strategies(text), names)

    def test_refused(self) -> None:
        """What asks for nothing, or for something unknown, is refused in upstream's words."""
        invalid = "invalid proxy strategies: "
        for text, problem in (
            ("", "ProxyStrategies cannot be empty"),
            (",", invalid + "proxy strategies cannot be empty"),
            ("destHost, default", invalid + "unknown proxy strategy:  default"),
            ("DestHost", invalid + "unknown proxy strategy: DestHost"),
            ("leastLoaded", invalid + "leastLoaded only changes how others choose"),
        ):
            with self.subTest(text):
                error = self.assertRaises(ValueError, parse_strategies, text)
                self.assertTrue(str(error).startswith(problem), error)


class RegistryTests(SynchronousTestCase):
    """From names to a registry."""

    def test_in_order(self) -> None:
        """The registry asks the strategies in the order of the list."""
        registry = make_registry(("destHost", "leastLoaded", "defaultRoute"))
        self.assertEqual(registry.counts(), {"destHost": 0, "defaultRoute": 0})
        route, near = link("default-route=true", "route"), link("host=h", "near")
        registry.add(route)
        registry.add(near)
        self.assertIs(registry.choose("h:1"), near)
        self.assertIs(registry.choose("other:1"), route)

    def test_modifier(self) -> None:
        """With leastLoaded in the list the least loaded is chosen, without it a random one."""
        for names, chosen in ((("default", "leastLoaded"), 1), (("default",), 2)):
            with self.subTest(names):
                registry = make_registry(names)
                links = [link(agent_id="a"), link(agent_id="b")]
                links[0].load = 1
                for one in links:
                    registry.add(one)
                self.assertEqual(len({registry.choose("h:1") for _ in range(60)}), chosen)
