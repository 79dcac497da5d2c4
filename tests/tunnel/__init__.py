"""Tests of konnect.tunnel. None needs a reactor or a socket."""
