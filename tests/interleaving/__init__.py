"""Tunnels of both programs, in memory, under random interleavings of what can happen to them."""
