"""Drivers that keep the core's records on disk."""
