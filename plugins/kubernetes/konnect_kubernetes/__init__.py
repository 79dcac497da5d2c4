"""konnect's way to a Kubernetes API server: reviews of agents' tokens, and leases of proxies."""

__version__ = "0.1.0"
