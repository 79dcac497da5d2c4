"""Tests of konnect.proxy, in memory: a clock, fake streams and fake sockets."""
