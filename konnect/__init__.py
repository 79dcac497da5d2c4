"""
konnect: traffic from where a network cannot be reached, into it, through agents that dial out.

A proxy takes tunnels from its clients and hands each to one of its agents; the agent dials the
destination. Both halves speak the wire protocol of apiserver-network-proxy ("upstream"), so that
either can stand in for its counterpart there. docs/architecture.md says where to start reading.
"""

__version__ = "0.1.0"
