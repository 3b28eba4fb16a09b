"""SCAMP, the monitor software of each chip of a booted machine, as hosts see it."""
