"""Tests of konnect.wire. None needs a reactor or a socket.

Property tests here do not judge how long an example takes: the machine may be busy with others.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "konnect", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("konnect")
