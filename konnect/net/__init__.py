"""The thin skin to Twisted: endpoints, TLS, sockets and the pumps that drive the sans-IO layers."""
