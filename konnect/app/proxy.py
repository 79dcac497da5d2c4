"""What `twistd konnect-proxy` runs."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService

from konnect.app.program import program
from konnect.app.proxy_options import ProxyConfig, ProxyOptions
from konnect.app.proxy_service import ProxyService

Options = ProxyOptions


def proxy_service(config: ProxyConfig, reactor: Any) -> ProxyService:
    """A proxy for `config`; it listens once it is started."""
    return ProxyService(config, reactor)


def makeService(options: ProxyOptions) -> IService:
    """Called by twistd and twist."""
    from twisted.internet import reactor

    config = options.config
    # Upstream's proxy reports a stop that was cut short.
    return program(
        proxy_service(config, reactor), reactor, config.log, options, hurried_exit_code=1
    )
