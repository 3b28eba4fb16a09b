"""Drivers that tell BMPs to power boards and cut links."""
