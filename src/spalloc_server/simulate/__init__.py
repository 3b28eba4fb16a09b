"""The scheduler in simulated time: what a trace of jobs would meet on a machine, without one.

The rules are the core's own; here are only the trace, the clock, the figures and the picture.
"""
