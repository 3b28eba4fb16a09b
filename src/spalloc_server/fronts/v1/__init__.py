"""The v1 protocol: JSON lines over TCP."""
