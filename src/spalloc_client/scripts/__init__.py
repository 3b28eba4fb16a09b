# The package of the commands; what is here is done before anything of a command is imported.
"""The five commands: `spalloc`, `spalloc-job`, `spalloc-ps`, `spalloc-machine` and `spalloc-where-is`."""

import gc
import sys

COMMANDS = ("spalloc", "spalloc-job", "spalloc-ps", "spalloc-machine", "spalloc-where-is")
"""Their names."""

is_command = sys.argv[:1] != [] and sys.argv[0].rpartition("/")[2] in COMMANDS
"""Whether this process was started as one of them, rather than importing them for purposes of its own."""

if is_command:
    # Importing makes next to no garbage, and looking for it all the while takes a tenth of the time in which a
    # command answers. Those that live longer turn it on again.
    gc.disable()
