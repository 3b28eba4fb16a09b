"""The HTTP service, as SpiNNMan and sPyNNaker speak with it, behind the engine's door."""
