"""`spalloc.states` is `spalloc_client.states` itself, so that what is set in one is seen in the other."""

import sys

from spalloc_client import states
from spalloc_client.states import JobState

__all__ = ["JobState"]

sys.modules[__name__] = states
