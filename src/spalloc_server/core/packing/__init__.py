"""Where a request can be met on one machine, and which of the possible places leaves the rest most usable.

Whose turn it is, is the scheduler's subject.
"""
