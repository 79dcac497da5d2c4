"""
What Twisted's endpoint strings find of konnect: `mtls:`, to listen and to connect with TLS on
both sides, and `konnect:`, to connect to a destination through a proxy.

Instances only; the classes live in the package.
"""

from konnect.client.endpoint_string import KonnectClientParser
from konnect.net.endpoints import MtlsClientParser, MtlsServerParser

konnect_client_parser = KonnectClientParser()
mtls_client_parser = MtlsClientParser()
mtls_server_parser = MtlsServerParser()
