"""What `twistd konnect-agent` runs."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService

from konnect.app.agent_options import AgentConfig, AgentOptions
from konnect.app.agent_service import AgentService
from konnect.app.program import program

Options = AgentOptions


def agent_service(config: AgentConfig, reactor: Any) -> AgentService:
    """An agent for `config`; it begins to connect once it is started."""
    return AgentService(config, reactor)


def makeService(options: AgentOptions) -> IService:
    """Called by twistd and twist."""
    from twisted.internet import reactor

    config = options.config
    return program(
        agent_service(config, reactor), reactor, config.log, options, hurried_exit_code=0
    )
