"""The agent: links that it dials out to proxies, and the destinations that it reaches for them."""
