"""Logs people in by an OpenID Connect issuer, with bearer tokens and with browsers."""
