"""The administrator's words with a running server, over a local socket."""
