"""The proxy: frontends that clients speak to, links that agents hold open, joined by tunnels."""
