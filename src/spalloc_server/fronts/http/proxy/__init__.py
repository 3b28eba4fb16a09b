"""The websocket proxy: UDP channels to the boards of a job, for clients that can't reach them themselves."""
