"""`python -m spalloc_client`: the same as `spalloc`, where the commands are not on the PATH.

Run `spalloc`.
"""

import sys

from spalloc_client.scripts.alloc import main

if __name__ == "__main__":
    sys.exit(main())
