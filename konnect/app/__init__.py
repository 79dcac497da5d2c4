"""Options, services and the `konnect` command: the only layer that builds things."""
