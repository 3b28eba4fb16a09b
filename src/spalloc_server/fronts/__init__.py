"""The ways into the server from the network, one folder a protocol."""
