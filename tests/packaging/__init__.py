"""Tests of the project as it is installed."""
