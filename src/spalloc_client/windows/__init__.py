"""Substitutes for what Windows lacks or does in its own way: each file replaces something of other systems.

Callers choose by `sys.platform`, which the type checker follows (it is run for both systems). Only Windows and the
tests import these files.
"""
