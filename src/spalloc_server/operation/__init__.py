"""What an administrator sees of a running server: log, metrics, readiness, signals."""
