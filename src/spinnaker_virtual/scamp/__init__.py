"""SCAMP as a host sees it: the monitor software of each chip of a booted machine."""
