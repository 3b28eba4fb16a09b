"""`python -m spalloc_client` runs `spalloc`, also where the commands are not on the PATH."""

import sys

from spalloc_client.scripts.alloc import main

if __name__ == "__main__":
    sys.exit(main())
