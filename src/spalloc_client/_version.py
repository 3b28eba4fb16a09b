"""The version of the distribution. The build reads it, so nothing else is in this file."""

__version__ = "1!8.0.0"
