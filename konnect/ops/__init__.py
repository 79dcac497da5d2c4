"""What people and machines watch konnect by: health, readiness, metrics. It only reads."""
