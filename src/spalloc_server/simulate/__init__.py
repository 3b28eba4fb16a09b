"""The scheduler in simulated time: when the jobs of a trace would run on a machine.

The rules are the core's own: here are only the trace, the clock, the figures and the picture.
"""
