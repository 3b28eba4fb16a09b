"""Completion of command lines for bash and zsh: options, job IDs, machines, owners and tags.

The shells' scripts, `spalloc.bash` and `_spalloc` in this folder, pass the words of the line to the command itself.
"""
