"""The five commands: `spalloc`, `spalloc-job`, `spalloc-ps`, `spalloc-machine` and `spalloc-where-is`."""
