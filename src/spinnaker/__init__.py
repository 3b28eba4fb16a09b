"""Facts of SpiNNaker's hardware: geometry, places, links and the packets that boards and BMPs understand.

Nothing here does I/O, keeps time or draws random numbers; each module states one fact of the hardware.
"""
