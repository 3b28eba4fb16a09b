"""The way to a job's boards: the websocket proxy, and memory read and written for clients."""
