"""Manual pages and the reference of the commands, written from the parsers that give `--help`.

`python -m spalloc_client.manual FOLDER` writes them below a folder, as they stand in the repository.
"""
