"""Converting the configuration file of the 2023 server, a Python program, to this one's."""
