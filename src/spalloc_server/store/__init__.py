"""Keeps the core's records on disk."""
