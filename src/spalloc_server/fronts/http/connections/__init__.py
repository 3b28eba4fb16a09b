"""Below the application: sockets, TLS, and the protocol classes that bound and check what clients send."""
