"""The control socket, over which administrators give commands to the running server."""
