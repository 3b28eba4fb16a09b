"""All that the server decides: jobs, machines, packing, scheduling and power.

Events and the time come in as values, and what is to be done goes out as values. No clock, socket, thread, file,
randomness or driver may be imported here.
"""
