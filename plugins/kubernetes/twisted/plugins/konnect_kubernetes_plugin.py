"""
What konnect finds of konnect-kubernetes.

The instance only, and nothing heavy: whatever looks for plugins reads this file. There must never
be an `__init__.py` beside it or above it: installing this would then replace Twisted's own.
"""

from konnect_kubernetes.plugin import Kubernetes

kubernetes = Kubernetes()
