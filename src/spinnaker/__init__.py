"""Facts of SpiNNaker's hardware: geometry, places, links, memory, and the packets of boards and BMPs.

Nothing here does I/O, keeps time or draws random numbers.
"""
