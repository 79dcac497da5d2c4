"""
What twistd and twist find of konnect: its two programs.

Instances only, and nothing heavy: every `twistd --help` reads this file. The modules named here
are imported when their program is chosen. There must never be an `__init__.py` beside this file
or above it: installing konnect would then replace Twisted's own.
"""

from twisted.application.service import ServiceMaker

konnect_proxy = ServiceMaker(
    "konnect-proxy",
    "konnect.app.proxy",
    "Takes tunnels from clients and hands each to one of its agents.",
    "konnect-proxy",
)

konnect_agent = ServiceMaker(
    "konnect-agent",
    "konnect.app.agent",
    "Connects to konnect proxies and dials the destinations they ask for.",
    "konnect-agent",
)
