"""The proxy and the agent together, over real sockets, in one process."""
