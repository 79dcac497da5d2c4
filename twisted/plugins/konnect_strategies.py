"""
The strategies that konnect itself has, as `--proxy-strategies` finds them.

Instances only; the classes live in the package.
"""

from konnect.extension.strategies import NamedModifier, NamedStrategy
from konnect.tunnel.pool import least_loaded
from konnect.tunnel.strategies import Default, DefaultRoute, DestCidr, DestHost

default = NamedStrategy("default", Default)
default_route = NamedStrategy("defaultRoute", DefaultRoute)
dest_host = NamedStrategy("destHost", DestHost)
dest_cidr = NamedStrategy("destCIDR", DestCidr)
least_loaded_modifier = NamedModifier("leastLoaded", least_loaded)
