"""Tests of konnect.app."""
