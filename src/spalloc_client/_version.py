"""The version of the distribution, read by the build; nothing else lives here."""

__version__ = "1!8.0.0"
