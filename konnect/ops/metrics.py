"""The metrics of a proxy and of an agent, read when they are scraped.

Upstream's names, help texts, labels and buckets, which dashboards and test suites match exactly;
ours besides them begin with `konnect_`. Nothing is counted here: the data path counts in plain
integers. Unlike upstream's, what has no labels is there from the start, as zeros.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector
from prometheus_client.registry import Collector

from konnect.ops.agent_metrics import AgentCollector
from konnect.ops.exposition import exposition
from konnect.ops.own_metrics import LinkStates, WaitingBytes
from konnect.ops.process_metrics import ProcessCollector
from konnect.ops.proxy_metrics import Openings, ProxyCollector, no_openings
from konnect.tunnel.ledger import Ledger


def proxy_metrics(
    ledger: Ledger,
    links: LinkStates,
    waiting: WaitingBytes = dict,
    openings: Openings = no_openings,
) -> Callable[[], bytes]:
    """What answers a scrape of a proxy with this ledger, such links, what waits, and how its gRPC
    clients' connections opened."""
    registry = make_registry(ProxyCollector(ledger, links, waiting, openings))
    return lambda: exposition(registry)


def agent_metrics(
    ledger: Ledger, links: LinkStates, waiting: WaitingBytes = dict
) -> Callable[[], bytes]:
    """What answers a scrape of an agent with this ledger, such links, and what waits."""
    registry = make_registry(AgentCollector(ledger, links, waiting))
    return lambda: exposition(registry)


def make_registry(collector: Collector) -> CollectorRegistry:
    """A registry of its own (never the global one): `collector` and the process's own figures."""
    registry = CollectorRegistry()
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(ProcessCollector())
    registry.register(collector)
    return registry
