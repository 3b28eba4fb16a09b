"""Boards within reach: UDP ports of a job's boards on loopback addresses, through a service's websocket.

- messages.py has the websocket's messages, carrying.py which message a datagram becomes and where an answer goes, and
  tags.py what must be rewritten on the way. All of it is values without I/O.
- loopback.py finds addresses; running.py moves the bytes in an event loop, and beside.py the same for programs that
  block.

Nothing here is imported until a tunnel is asked for; `websockets`, which the extra `https` brings, by wire.py alone.
"""
