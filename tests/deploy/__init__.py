"""Tests of deploy/: what can be checked of it without a cluster, a container engine or systemd."""
