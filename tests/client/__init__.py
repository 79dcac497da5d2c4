"""Tests of konnect.client."""
