"""Dialing destinations through a proxy, by gRPC or by HTTP CONNECT, as Twisted endpoints."""
