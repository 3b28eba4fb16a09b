"""Drivers that have BMPs power boards and stop links."""
