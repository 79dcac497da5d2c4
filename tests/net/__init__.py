"""Tests of konnect.net."""
