"""Bytes to meaning and back: gRPC over HTTP/2, control packets, metadata, HTTP CONNECT.

Everything here is sans-IO. It is driven by method calls and returns bytes and events; it imports no
Twisted, opens no socket and reads no clock.
"""
