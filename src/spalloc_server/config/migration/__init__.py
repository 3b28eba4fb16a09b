"""Converting what other services call their configuration: Python programs and JSON, to this one's."""
