"""Emulated SpiNNaker boards and BMPs that answer real packets on this computer's loopback addresses."""
